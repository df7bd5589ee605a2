"""The results of an experiment as one tidy table, read from the store."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from miabench.errors import harmless
from miabench.evaluation.measure import ACCURACIES, ATTACK_METRICS
from miabench.evaluation.scores import AttackScores, TargetValues
from miabench.results.derived import Derived
from miabench.results.index import Cell, CellKey, Entry, Index, file_name
from miabench.results.kept import Kept
from miabench.results.rows import CLASS_ROWS, ROWS
from miabench.store.store import Ref, Store, digest

if TYPE_CHECKING:
    import pandas as pd

ESTIMATE = ("value", "low", "high")
COUNTS = ("n_members", "n_nonmembers")
FRACTIONS = (*ESTIMATE, "realised_fpr")
COLUMNS = (
    "dataset", "model", "defense", "params", "run", "attacker", "attack", "metric", *ESTIMATE, *COUNTS, "key", "reason",
    "realised_fpr",
)  # fmt: skip
NOT_COMPUTED = "not computed yet"


HISTORY = TypeAdapter(list[dict[str, float]])


@dataclass(frozen=True)
class Answers:
    """What one target answers on its members and non-members.

    Attributes:
        members: (N,), bool.
        rows: of the pool (N,).
        labels: true classes (N,).
        logits: as the model's API answers them (N, C), float32.
        feature_norm: length of each record's feature vector (N,).
    """

    members: NDArray[np.bool_]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    feature_norm: NDArray[np.float32]


class EntryKey(NamedTuple):
    """What the entries of one quantity share in all runs; accuracies have no attacker and no attack."""

    cell: CellKey
    attacker: str | None = None
    attack: str | None = None


@dataclass(frozen=True)
class Results:
    """Everything a report is made from: the index, and what the store holds of it."""

    index: Index
    store: Store

    @cached_property
    def kept(self) -> Kept:
        """What a report reads several times."""
        return Kept()

    @cached_property
    def derived(self) -> Derived:
        """What reports computed from the stored results, for the next one."""
        return Derived(self.store, file_name(self.index.experiment))

    def about(self, cell: Cell) -> str:
        """A digest of all that the index says of a cell, for what is derived of it."""
        return self._digests[cell.key]

    @cached_property
    def _digests(self) -> Mapping[CellKey, str]:
        return {cell.key: digest([cell.model_dump_json(), _said(self.entries(cell))]) for cell in self.index.cells}

    @cached_property
    def table(self) -> pd.DataFrame:
        """The tidy table: one row per cell, run, attacker, attack and metric; values are fractions."""
        import pandas as pd

        rows = [row for entry in self.index.entries for row in self._rows(entry, self.measured(entry))]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(FRACTIONS, "float64"))

    @cached_property
    def class_table(self) -> pd.DataFrame:
        """The same of each class's records, with a column `class`: what an attack finds out about them."""
        import pandas as pd

        rows = [
            (*row, one["class"])
            for entry in self.index.entries
            if entry.attack and entry.metrics and self._has_classes(entry.metrics)
            for measured in [self.store.json(entry.metrics, "classes.json", CLASS_ROWS)]
            for row, one in zip(self._rows(entry, measured), measured, strict=True)
        ]
        return pd.DataFrame(rows, columns=[*COLUMNS, "class"]).astype(dict.fromkeys(FRACTIONS, "float64"))

    def _has_classes(self, metrics: Ref) -> bool:
        """Whether an artifact has rows by class, which came later."""
        return self.store.has(metrics) and "classes.json" in self.store.manifest(metrics).files

    def targets(self, cell: Cell, attacker: str | None = None, attack: str | None = None) -> dict[int, TargetValues]:
        """An attack's scores (without an attack, whether records are classified correctly) of finished targets, by run.

        Under protocol pool each run has members of its own.
        """
        return {run: TargetValues.load(self.store, ref) for run, ref in self._stored(cell, attacker, attack).items()}

    def scores(self, cell: Cell, attacker: str, attack: str) -> dict[int, AttackScores]:
        """An attack's scores with those of the shadows, by run."""
        return {run: AttackScores.load(self.store, ref) for run, ref in self._stored(cell, attacker, attack).items()}

    def records(self, cell: Cell, attacker: str | None = None, attack: str | None = None) -> Sequence[Ref]:
        """Where the numbers of records are, or will be."""
        entries = self._entries.get(EntryKey(cell.key, attacker, attack), ())
        return [entry.records for entry in entries if entry.records]

    def _stored(self, cell: Cell, attacker: str | None, attack: str | None) -> dict[int, Ref]:
        """By run, where the numbers of records are."""
        entries = self._entries.get(EntryKey(cell.key, attacker, attack), ())
        return {entry.run: entry.records for entry in entries if entry.records and self.store.has(entry.records)}

    def history(self, cell: Cell, run: int = 0) -> pd.DataFrame | None:
        """What the target's training recorded, a row per epoch; None where it is not trained."""
        import pandas as pd

        for entry in self.accuracy_entries(cell):
            if entry.run == run and entry.network and self.store.has(entry.network):
                return pd.DataFrame(self.store.json(entry.network, "history.json", HISTORY))
        return None

    def answers(self, cell: Cell) -> Iterator[Answers]:
        """What the target of each finished run answers, on the same records in every run.

        Of runs with members of their own (pairs of models) it is the first alone.
        """
        for _, answers in self.answers_by_run(cell):
            yield answers
            if self.index.experiment.paired:
                return

    def answers_by_run(self, cell: Cell) -> Iterator[tuple[int, Answers]]:
        """Each finished run with what its target answers."""
        for entry in self.accuracy_entries(cell):
            if entry.network and entry.metrics and self.store.has(entry.metrics):
                target = TargetValues.load(self.store, entry.metrics)
                pool = self.store.arrays(Ref("observations", self.store.manifest(entry.metrics).logits))
                logits, norms = pool["answers"][target.rows], pool["feature_norm"][target.rows]
                yield entry.run, Answers(target.members, target.rows, target.labels, logits, norms)

    def accuracy_entries(self, cell: Cell) -> Sequence[Entry]:
        """The cell's entries of accuracy, one per run."""
        return self._entries.get(EntryKey(cell.key), ())

    def entries(self, cell: Cell) -> Sequence[Entry]:
        """All of a cell."""
        return self._by_cell[cell.key]

    @cached_property
    def _by_cell(self) -> Mapping[CellKey, list[Entry]]:
        keys, found = [cell.key for cell in self.index.cells], defaultdict(list)
        for entry in self.index.entries:
            found[keys[entry.cell]].append(entry)
        return found

    @cached_property
    def _entries(self) -> Mapping[EntryKey, list[Entry]]:
        """Entries of all runs."""
        keys, found = [cell.key for cell in self.index.cells], defaultdict(list)
        for entry in self.index.entries:
            found[EntryKey(keys[entry.cell], entry.attacker, entry.attack)].append(entry)
        return found

    def _rows(self, entry: Entry, measured: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
        """Rows of the tidy table, each in the order of COLUMNS."""
        names = (*self._names[entry.cell], entry.run, entry.attacker, entry.attack)
        key = entry.metrics.key if entry.metrics else None
        for row in measured:
            numbers = (row.get(name) for name in (*ESTIMATE, *COUNTS))
            yield *names, row["metric"], *numbers, key, row["reason"], row.get("realised_fpr")

    @cached_property
    def _names(self) -> Sequence[tuple[str, str, str, str]]:
        """What names each cell in the tidy table: dataset, model, defense, params."""
        return [(cell.dataset, cell.model, cell.defense, json.dumps(cell.params)) for cell in self.index.cells]

    def measured(self, entry: Entry) -> Sequence[Mapping[str, Any]]:
        """What was measured, a row per metric, or why it was not."""
        if entry.metrics and self.store.has(entry.metrics):
            return self.store.json(entry.metrics, "rows.json", ROWS)
        reason = entry.reason or (entry.metrics and self.store.failure(entry.metrics.key)) or NOT_COMPUTED
        return [
            {"metric": name, "reason": harmless(reason)} for name in (ATTACK_METRICS if entry.attack else ACCURACIES)
        ]


def _said(entries: Sequence[Entry]) -> list[tuple[Any, ...]]:
    """All that entries of one cell say."""
    return [(one.run, one.attacker, one.attack, one.metrics, one.records, one.network, one.reason) for one in entries]
