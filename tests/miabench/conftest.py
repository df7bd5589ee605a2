"""Results made of numbers that a test chooses: stored as jobs would store them, nothing is trained."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from miabench.evaluation.measure import measure_accuracy, measure_attack, measure_classes
from miabench.evaluation.scores import AttackScores, ShadowScores, TargetValues
from miabench.experiment.model import Experiment
from miabench.files import checksum
from miabench.files.npz import write_npz
from miabench.results import derived
from miabench.results.index import AttackInfo, Cell, Entry, Index
from miabench.results.results import Results
from miabench.store.store import Ref, Store, digest

CLASSES = 4

PerRun: TypeAlias = float | str | tuple[float | str | None, ...] | None


@dataclass(frozen=True)
class FakeCell:
    """What a test wants of one cell. A value for every run stands alone, values by run are a tuple.

    Attributes:
        train: train accuracy where the test accuracy is not None.
        accuracy: test accuracy; None for a run that is not trained. Exact in multiples of one record.
        auc: of each attack (0.9 for one that only other cells name); None for one that is not finished, a text for
            one that is "n/a" for that reason. Exact in multiples of one member.
        reason: why the whole cell is "n/a".
        failure: what the store remembers of every job that is not finished.
        withheld: members that the defense takes out of training.
    """

    defense: str = "ce"
    params: Mapping[str, Any] = field(default_factory=dict)
    by_default: Sequence[str] = ()
    train: float = 1.0
    accuracy: PerRun = 0.8
    auc: Mapping[str, PerRun] = field(default_factory=dict)
    dataset: str = "toy"
    model: str = "mlp"
    reason: str | None = None
    failure: str | None = None
    withheld: int = 0


class Builder:
    """Writes the artifacts of cells into a store, as jobs would; a dataset has as many members as non-members.

    In a pool each run has members of its own, half of all records, and complementary runs are neighbours.
    """

    def __init__(self, folder: Path, records: int, pool: bool = False, member_classes: int = 1) -> None:
        self.store = Store(folder)
        self.records = records
        self.pool = pool
        self.member_classes = member_classes
        self.about: dict[str, Any] = {}
        self.cells: list[Cell] = []
        self.entries: list[Entry] = []

    def add(self, fake: FakeCell, runs: int, attackers: tuple[str, ...]) -> None:
        counts = {"members": self.records - fake.withheld, "non-members": self.records}
        counts |= {"reference": fake.withheld} if fake.withheld else {}
        same = ("dataset", "model", "defense", "params", "by_default", "reason")
        names = {name: getattr(fake, name) for name in same}
        names["is_baseline"] = fake.defense == "ce"
        self.cells.append(Cell(**names, counts={} if fake.reason else counts))
        for run in range(runs):
            self._add_entry(fake, run, None, of_run(fake.accuracy, run))
            for attacker in attackers:
                for attack, auc in fake.auc.items():
                    self._add_entry(fake, run, (attacker, attack), of_run(auc, run))

    def _add_entry(self, fake: FakeCell, run: int, who: tuple[str, str] | None, value: float | str | None) -> None:
        attacker, attack = who or (None, None)
        what = {"cell": len(self.cells) - 1, "run": run, "attacker": attacker, "attack": attack}
        if fake.reason or isinstance(value, str):
            self.entries.append(Entry(**what, reason=fake.reason or value))
            return
        key = digest([self.cells[-1].model_dump(mode="json"), what])
        metrics = Ref("metrics", key)
        records = Ref("scores", key) if who else metrics
        self.entries.append(Entry(**what, metrics=metrics, records=records))
        if value is None:
            self.store.set_failure(key, fake.failure)
        elif who:
            self._write_scores(records, metrics, self.scores(fake, value, run, str(who)))
        else:
            self._write_correctness(metrics, fake, value, run)

    def rows(self, fake: FakeCell, run: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Pool rows and their membership; the last of the members are withheld.

        Members are the first rows or, in a pool, those that a coin of the pair says.
        """
        order = np.arange(2 * self.records)
        if self.pool:
            order = np.random.default_rng(run // 2).permutation(order)
            order = np.roll(order, self.records * (run % 2))
        inside = np.isin(np.arange(len(order)), order[: self.records])
        kept = np.setdiff1d(np.arange(len(order)), np.flatnonzero(inside)[self.records - fake.withheld :])
        return kept, inside[kept]

    def scores(self, fake: FakeCell, auc: float, run: int, who: str) -> AttackScores:
        """Non-members score from 0 to 1; a share `auc` of the members scores above them, the others below."""
        rows, member = self.rows(fake, run)
        seed = [run, zlib.crc32(who.encode())]
        rng = np.random.default_rng(seed)
        target, order = rng.random(2 * self.records)[rows], rng.permutation(member.sum())
        target[member] += np.where(order < round(auc * member.sum()), 2, -2)
        labels = self.labels(rows, member)
        return AttackScores(TargetValues(target, member, labels, rows), ShadowScores(target, member, labels), {})

    def labels(self, rows: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Non-members have all classes alike, members some, by default the first alone."""
        return np.where(member, rows % self.member_classes, rows % CLASSES)

    def _write_correctness(self, ref: Ref, fake: FakeCell, accuracy: float, run: int) -> None:
        """The first of the members and of the non-members are classified correctly."""
        rows, member = self.rows(fake, run)
        known = member & (np.cumsum(member) <= round(fake.train * member.sum()))
        correct = known | (~member & (np.cumsum(~member) <= round(accuracy * self.records)))
        with self.store.write(ref, {}) as folder:
            values = TargetValues(correct.astype(float), member, self.labels(rows, member), rows)
            write_npz(folder / "arrays.npz", values.save())
            (folder / "rows.json").write_text(json.dumps(measure_accuracy(correct, member)))

    def _write_scores(self, scores: Ref, metrics: Ref, given: AttackScores) -> None:
        with self.store.write(scores, self.about) as folder:
            write_npz(folder / "arrays.npz", given.save())
        with self.store.write(metrics, {}) as folder:
            (folder / "rows.json").write_text(json.dumps(measure_attack(given)))
            (folder / "classes.json").write_text(json.dumps(measure_classes(given, CLASSES)))


def of_run(value: PerRun, run: int) -> float | str | None:
    return value[run] if isinstance(value, tuple) else value


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Results]:
    """Results of cells, each given by fields of FakeCell: `make_results({}, {"defense": "crl"}, runs=3)`."""

    def make(
        *fields: Mapping[str, Any],
        runs: int = 2,
        records: int = 40,
        attackers: tuple[str, ...] = ("adaptive",),
        environments: tuple[dict[str, str], ...] = ({"torch": "2.9"},),
        notes: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        tuned: Mapping[str, list[str]] = {},
        access: Mapping[str, str] = {},
        pool: bool = False,
        member_classes: int = 1,
        scaled_defaults: Mapping[str, Mapping[str, Any]] = {},
    ) -> Results:
        """Runs are models where they are of a pool; `access` is what attacks see, by label, and none says it else."""
        cells = [FakeCell(**given) for given in fields]
        attacks = list(dict.fromkeys(attack for cell in cells for attack in cell.auc)) or ["entropy"]
        cells = [replace(cell, auc={**dict.fromkeys(attacks, 0.9), **cell.auc}) for cell in cells]
        builder = Builder(tmp_path / "store", records, pool, member_classes)
        for cell, environment in zip(cells, itertools.cycle(environments), strict=False):
            builder.about = {"environment": environment}
            builder.add(cell, runs, attackers)
        experiment = Experiment.model_validate(
            {
                "name": "fake",
                "dataset": list(dict.fromkeys(cell.dataset for cell in cells)),
                "model": list(dict.fromkeys(cell.model for cell in cells)),
                "defense": [{"name": cell.defense, **cell.params} for cell in cells],
                "attacks": attacks,
                **({"protocol": "pool", "models": runs} if pool else {"runs": runs}),
                "attacker": {"shadow_defense": "both" if len(attackers) > 1 else "same"},
                "tuned": {name: {"study": "0" * 32, "parameters": chosen} for name, chosen in tuned.items()},
                "scaled_defaults": scaled_defaults,
            }
        )
        index = Index(
            experiment=experiment,
            attacks=[AttackInfo(label=label, access=level) for label, level in access.items()],
            cells=builder.cells,
            entries=builder.entries,
            notes=list(notes),
            warnings=list(warnings),
        )
        return Results(index, builder.store)

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of what reports compute that keeps what little there is, however young."""
    monkeypatch.setattr(derived, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(derived, "FEWEST", 1)
    monkeypatch.setattr(checksum, "SETTLED", 0)
    return tmp_path / "cache"
