"""What jobs are, as JSON: enough for another process to do the work, and exactly what decides the result's key."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from miabench.contracts import Plugin, Probe
from miabench.discovery import Found, PluginFile
from miabench.experiment import Choice
from miabench.schedule import Schedule
from miabench.store import Ref, digest


class Spec(BaseModel, frozen=True, extra="forbid"):
    """JSON that decides a result; its hash is the result's key."""

    @property
    def key(self) -> str:
        """The content address of what this spec describes."""
        return digest({type(self).__name__: self.model_dump(mode="json")})


class Component(Spec, frozen=True):
    """A plugin with all its parameters; `code` stands for its code: class version and source identity."""

    name: str
    code: str
    params: dict[str, Any]

    @classmethod
    def of(cls, found: Found, plugin: Plugin) -> Component:
        """Describe an instance."""
        code = f"{plugin.version} {found.identity}".strip()
        return cls(name=found.name, code=code, params=plugin.model_dump(mode="json"))


class ProbeSpec(Spec, frozen=True):
    """A probe: where its class is (file plugins: a module name that holds the file's hash) and its parameters."""

    module: str
    qualname: str
    version: int
    params: dict[str, Any]

    @classmethod
    def of(cls, probe: Probe) -> ProbeSpec:
        """Describe an instance."""
        kind = type(probe)
        return cls(
            module=kind.__module__,
            qualname=kind.__qualname__,
            version=probe.version,
            params=probe.model_dump(mode="json", exclude=set() if probe.records else {"records"}),
        )


class Part(Spec, frozen=True):
    """Some records in order: their rows (a list in the store) and the hash of their content."""

    ids: str
    content: str


class Compute(Spec, frozen=True):
    """What decides floating-point results beside the formulas."""

    device: Literal["cpu", "cuda", "mps"]
    precision: Literal["float32", "tf32", "float64"]
    threads: int


class TrainingSpec(Spec, frozen=True):
    """One training."""

    parts: dict[str, Part]
    preparation: dict[str, str]
    model: Component
    defense: Component
    schedule: Schedule
    seed: int
    compute: Compute
    given: dict[str, str]

    def network(self, epoch: int) -> Ref:
        """The network after an epoch of this training."""
        return Ref("networks", digest([self.key, epoch]))


class ObservationSpec(Spec, frozen=True):
    """One probe's answers from one network about some records."""

    network: str
    probe: ProbeSpec
    part: Part
    preparation: dict[str, str]
    seed: int
    compute: Compute


class DerivedSpec(Spec, frozen=True):
    """One probe's answers computed from another's stored ones.

    Attributes:
        of: key of the other probe's observation.
        part: the records that it is about.
    """

    of: str
    probe: ProbeSpec
    part: Part
    compute: Compute


class View(Spec, frozen=True):
    """One model as an attack sees it.

    Attributes:
        observations: key of each probe's answers, in the order of the attack's probes.
        members: pool rows the model was trained on and must protect.
        non_members: its test part.
        withheld: rows that its defense kept from training; None where there are none or the attack compares with
            no references.
        scored: the members, then the non-members, that are scored; None: all.
        population: rows known to be outside its training, none of which is scored; None where there are none or
            the attack does not look at them.
    """

    observations: list[str]
    members: str
    non_members: str
    withheld: str | None = None
    scored: str | None = None
    population: str | None = None

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is None is left out: attacks that ask for none of it keep their keys."""
        return {name: value for name, value in handler(self).items() if value is not None}


class AttackSpec(Spec, frozen=True):
    """One attack on one target, learnt on its shadows."""

    attack: Component
    probes: list[ProbeSpec]
    target: View
    shadows: list[View]
    labels: str
    seed: int
    compute: Compute


class MeasureSpec(Spec, frozen=True):
    """Metrics of one attack's scores, or (without scores) accuracies from the target's logits."""

    version: int
    scores: str | None
    logits: str | None
    members: str
    non_members: str


class Context(BaseModel, frozen=True):
    """Where a job finds things; decides no result.

    Attributes:
        device: as torch names it.
        checkpoint_seconds: at least this long between two checkpoints of one training.
        workers: how many jobs run at once; kept beside measured times.
    """

    store: str
    data_root: str
    plugins: tuple[PluginFile, ...]
    device: str
    checkpoint_seconds: float
    workers: int = 1


class Job(BaseModel, frozen=True):
    """One unit of work for an executor.

    Attributes:
        key: of the work; locks and failures are filed under it.
        label: what is done, in words.
        dataset: whose pool it reads.
        identity: of that pool when the job was planned.
        needs: artifacts that must be stored before.
        gives: artifacts that are stored after.
        snapshots: of a training, the epoch after which each artifact of `gives` is taken.
        weight: expected work, for the estimate of the time left: passes over one record, roughly.
    """

    kind: Literal["train", "observe", "attack", "measure"]
    key: str
    label: str
    dataset: Choice
    identity: str
    spec: TrainingSpec | ObservationSpec | DerivedSpec | AttackSpec | MeasureSpec
    needs: tuple[Ref, ...]
    gives: tuple[Ref, ...]
    snapshots: tuple[int, ...] = ()
    weight: float = 1.0
