"""What an experiment's results are and where they are stored: enough to report without data, plugins or training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, TypeAdapter, model_validator

from miabench.errors import MissingStepError, UserError, harmless
from miabench.experiment.cell_names import cell_label
from miabench.experiment.model import FORMER_BASELINE, Experiment
from miabench.files.atomic import replace_file, write_file
from miabench.files.json import read_json, sealed
from miabench.plugins.attack import Access
from miabench.plugins.defense import Claim
from miabench.store.hashed import hashed
from miabench.store.store import Ref, Store, digest

FOLDER = "experiments"  # of a store
ANEW = "make it anew with"
REMEDY = f"{ANEW}: miabench run"


Shown = Annotated[str, AfterValidator(harmless)]  # an index may be a stranger's


class CellKey(NamedTuple):
    """What names a cell: the label is the defense and whatever differs from its defaults."""

    dataset: str
    model: str
    label: str


class Cell(BaseModel, frozen=True):
    """Dataset x model x defense with one setting of its hyper-parameters.

    Attributes:
        params: the hyper-parameters that differ from the defaults or among the settings of one defense.
        by_default: those of them that have their defaults.
        is_baseline: whether the defense is none: what others are compared with.
        reason: why the cell is "n/a", or None.
        claim: what the defense has reports say of its trainings, or None.
        counts: members, non-members and withheld records of the target, by name.
    """

    dataset: Shown
    model: Shown
    defense: Shown
    params: dict[str, Any]
    by_default: list[str] = []
    is_baseline: bool = False
    reason: Shown | None = None
    claim: Claim | None = None
    counts: dict[str, int] = {}

    @cached_property
    def label(self) -> str:
        """The defense and whatever differs from its defaults."""
        return cell_label(self.defense, self.params)

    @cached_property
    def key(self) -> CellKey:
        """What names the cell among an experiment's."""
        return CellKey(self.dataset, self.model, self.label)

    @model_validator(mode="before")
    @classmethod
    def _find_former_baseline(cls, value: Any) -> Any:
        """Indexes that were stored before cells said it know the baseline by its name alone."""
        if isinstance(value, dict) and "is_baseline" not in value:
            return {**value, "is_baseline": value.get("defense") == FORMER_BASELINE}
        return value


class AttackInfo(BaseModel, frozen=True):
    """One attack of an experiment.

    Attributes:
        label: its name and whatever differs from its defaults.
        access: what the attacker sees of the target.
        params: all its parameters.
    """

    label: Shown
    access: Access
    params: dict[str, Any] = {}


class Entry(BaseModel, frozen=True):
    """One stored list of metrics, and what it is about.

    Attributes:
        cell: position in the index's cells.
        attacker: `adaptive` or `non-adaptive`; None for accuracies.
        attack: label of the attack; None for accuracies.
        metrics: the artifact, or None where `reason` says why there is none.
        records: the artifact that holds the per-record numbers (scores, or 0/1 correctness).
        network: the target's network.
    """

    cell: int
    run: int
    attacker: Shown | None = None
    attack: Shown | None = None
    metrics: Ref | None = None
    records: Ref | None = None
    network: Ref | None = None
    reason: Shown | None = None


class Index(BaseModel, frozen=True):
    """All results of an experiment.

    Attributes:
        attacks: those of its suites, one by one.
        notes: facts about the data that belong beside the results.
        warnings: what the user should know about the settings.
    """

    experiment: Experiment
    attacks: Sequence[AttackInfo] = ()
    cells: Sequence[Cell]
    entries: Sequence[Entry]
    notes: Sequence[Shown]
    warnings: Sequence[Shown]

    def save(self, store: Store) -> None:
        """Keep the index in the store, under the resolved experiment's hash."""
        store.room(FOLDER)
        with replace_file(store.folder / FOLDER / file_name(self.experiment)) as path:
            write_file(path, sealed(self.model_dump_json(indent=1).encode()))

    @classmethod
    def load(cls, store: Store, experiment: Experiment) -> Index:
        """The index of an experiment that was trained or attacked here before.

        Raises:
            UserError: this store has never seen the experiment; its index is damaged.
        """
        path = store.folder / FOLDER / file_name(experiment)
        if not path.exists():
            raise MissingStepError(
                f"the store {store.folder} has no results of experiment {experiment.name!r} with these settings",
                "run",
            )
        try:
            return cls._read(path, ANEW)
        except UserError as error:
            raise MissingStepError(str(error), "run") from None

    @classmethod
    def all(cls, store: Store) -> Iterator[Self]:
        """The indexes of all experiments that a store knows; one that cannot be read is left out."""
        for path in sorted((store.folder / FOLDER).glob("*.json")):
            with suppress(UserError):
                yield cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The index in a file of a store.

        Raises:
            UserError: it is not what was written, or another experiment's.
        """
        return cls._read(path, REMEDY)

    @classmethod
    def _read(cls, path: Path, remedy: str) -> Self:
        index = read_json(path, TypeAdapter(cls), remedy)
        if file_name(index.experiment) != path.name:
            raise UserError(f"{path} is that of another experiment, {file_name(index.experiment)}; {remedy}")
        return index


def file_name(experiment: Experiment) -> str:
    """What files about an experiment are called: its name and hash."""
    return f"{experiment.name.replace('/', '-')}-{digest(hashed(experiment))[:12]}.json"
