"""What is known about an artifact beside its files: what it was made from, on which machine, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

from miabench.errors import UserError

T = TypeVar("T")
Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$")]  # of a file, which leads nowhere else


class TrainingCost(BaseModel, frozen=True, extra="forbid"):
    """What a training had cost when a network was taken from it.

    Attributes:
        seconds: wall seconds; on an accelerator the device's.
        cpu_seconds: of the processor.
        forwarded: records that networks answered.
        differentiated: records for which a gradient was taken.
        workers: how many jobs ran at once.
    """

    seconds: float
    cpu_seconds: float
    forwarded: float
    differentiated: float
    workers: int = 1


class AnsweringCost(BaseModel, frozen=True, extra="forbid"):
    """What an observation cost: seconds for so many records."""

    seconds: float
    records: int


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """What completes an artifact.

    Attributes:
        kind: of the artifact, with `key` its address.
        files: SHA-256 of each file.
        made: on which day, in UTC; None of what an older version made.
        spec: of the job that made it, as JSON.
        environment: versions of libraries, `cpu` and `gpu`; empty where nothing depends on them.
        epoch: of a network, after which it was taken.
        cost: of a network's training, or of an observation.
        parameters: of a network, how many numbers its training sets; None of what an older version made.
    """

    kind: str
    key: str
    files: Mapping[Name, str]
    made: date | None = None
    spec: Mapping[str, Any] = {}
    environment: Mapping[str, str | None] = {}
    epoch: int | None = None
    cost: TrainingCost | AnsweringCost | None = None
    parameters: int | None = None

    @property
    def given(self) -> list[str]:
        """Keys of the networks that a training started from."""
        return list(self._said(dict[str, str], "given").values())

    @property
    def part(self) -> str:
        """The list of pool rows that an observation is about."""
        return self._said(str, "part", "ids")

    @property
    def device(self) -> str:
        """Kind of device that the job computed on."""
        return self._said(str, "compute", "device")

    @property
    def threads(self) -> int:
        """How many threads the job computed with."""
        return self._said(int, "compute", "threads")

    @property
    def logits(self) -> str:
        """Key of the observation whose logits accuracies were measured from."""
        return self._said(str, "logits")

    def _said(self, form: type[T], *names: str) -> T:
        """A value within the spec, which may be a stranger's.

        Raises:
            UserError: there is none of that form.
        """
        found: Any = self.spec
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        try:
            return TypeAdapter(form).validate_python(found, strict=True)
        except ValidationError:
            raise UserError(
                f"the manifest of {self.kind}/{self.key} is damaged (it has no {'.'.join(names)}); remove that folder "
                "of the store and run again: it is made anew"
            ) from None


MANIFEST = TypeAdapter(Manifest)
