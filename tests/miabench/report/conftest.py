"""Results made of numbers that a test chooses, without training anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from miabench.evaluation import measure_accuracy, measure_attack
from miabench.experiment import Experiment
from miabench.index import Cell, Entry, Index
from miabench.results import Results
from miabench.store import Ref, Store, digest

CLASSES = 4


@dataclass
class FakeCell:
    """What a test wants of one cell; a run is given by its number.

    Attributes:
        accuracy: test accuracy of each run; None for a run that is not finished.
        shift: how much higher members score than non-members, of each attack: scores are normal, so that the AUC is
            about Phi(shift / sqrt 2); None for an attack that is not finished, a text for one that is "n/a".
        withheld: members that the defense takes out of training.
    """

    defense: str = "ce"
    params: Mapping[str, Any] = field(default_factory=dict)
    accuracy: tuple[float | None, ...] = (0.8, 0.8)
    shift: Mapping[str, float | str | None] = field(default_factory=lambda: {"entropy": 1.0})
    dataset: str = "toy"
    model: str = "mlp"
    reason: str | None = None
    failure: str | None = None
    withheld: int = 0


class Builder:
    """Writes the artifacts of cells into a store, as jobs would."""

    def __init__(self, folder: Path, records: int) -> None:
        self.store = Store(folder)
        self.records = records  # members, and as many non-members
        self.cells: list[Cell] = []
        self.entries: list[Entry] = []

    def add(self, fake: FakeCell, attackers: tuple[str, ...]) -> None:
        counts = {"members": self.records - fake.withheld, "non-members": self.records}
        counts |= {"reference": fake.withheld} if fake.withheld else {}
        names = {name: getattr(fake, name) for name in ("dataset", "model", "defense", "params", "reason")}
        self.cells.append(Cell(**names, counts={} if fake.reason else counts))
        for run, accuracy in enumerate(fake.accuracy):
            self._enter(run, fake, accuracy=accuracy)
            for attacker in attackers:
                for attack, shift in fake.shift.items():
                    what = {"attacker": attacker, "attack": attack}
                    self._enter(run, fake, **what, shift=None if accuracy is None else shift)

    def _enter(self, run: int, fake: FakeCell, **what: Any) -> None:
        value = what.pop("accuracy", None) if "accuracy" in what else what.pop("shift")
        reason = fake.reason or (value if isinstance(value, str) else None)
        common = {"cell": len(self.cells) - 1, "run": run, **what}
        if reason:
            self.entries.append(Entry(**common, reason=reason))
            return
        key = digest([self.cells[-1].model_dump(mode="json"), run, list(what.values())])
        metrics, scores = Ref("metrics", key), Ref("scores", key)
        self.entries.append(Entry(**common, metrics=metrics, records=scores if what else metrics))
        if value is None:
            self.store.set_failure(key, fake.failure)
        elif what:
            self._write_attack(metrics, scores, fake, (run, value, str(what)))
        else:
            self._write_accuracy(metrics, fake, value)

    def _rows(self, fake: FakeCell) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pool rows, membership, classes: the members are the first rows, the last of them withheld."""
        members = np.arange(self.records - fake.withheld)
        rows = np.concatenate([members, self.records + np.arange(self.records)])
        return rows, np.arange(len(rows)) < len(members), rows % CLASSES

    def _write_accuracy(self, ref: Ref, fake: FakeCell, accuracy: float) -> None:
        rows, member, _ = self._rows(fake)
        right = np.where(member, 1.0, (np.arange(len(rows)) - member.sum() < round(accuracy * self.records)))
        with self.store.write(ref, {}) as folder:
            np.savez(folder / "arrays.npz", target=right, target_row=rows, target_member=member)
            (folder / "rows.json").write_text(json.dumps(measure_accuracy(right == 1, member)))

    def _write_attack(self, metrics: Ref, scores: Ref, fake: FakeCell, seeds: tuple[int, float, str]) -> None:
        rows, member, label = self._rows(fake)
        run, shift, _ = seeds
        noise = np.random.default_rng([run, len(str(seeds))]).normal(size=2 * self.records)
        target = noise[rows] + shift * member
        arrays = {"target": target, "target_member": member, "target_label": label}
        arrays |= {name.replace("target", "shadows"): value for name, value in arrays.items()}
        with self.store.write(scores, {}) as folder:
            np.savez(folder / "arrays.npz", target_row=rows, **arrays)
        with self.store.write(metrics, {}) as folder:
            (folder / "rows.json").write_text(json.dumps(measure_attack(arrays, CLASSES)))


MakeResults = Callable[..., Results]


@pytest.fixture
def make_results(tmp_path: Path) -> MakeResults:
    """Results of the cells given: `make_results(FakeCell(), FakeCell("crl", shift={"entropy": 0.3}))`."""

    def make(
        *cells: FakeCell, records: int = 40, attackers: tuple[str, ...] = ("adaptive",), **about: list[str]
    ) -> Results:
        builder = Builder(tmp_path / "store", records)
        for cell in cells:
            builder.add(cell, attackers)
        experiment = Experiment.model_validate(
            {
                "name": "fake",
                "dataset": list(dict.fromkeys(cell.dataset for cell in cells)),
                "model": list(dict.fromkeys(cell.model for cell in cells)),
                "defense": [{"name": cell.defense, **cell.params} for cell in cells],
                "attacks": list(dict.fromkeys(attack for cell in cells for attack in cell.shift)),
                "runs": len(cells[0].accuracy),
                "attacker": {"shadow_defense": "both" if len(attackers) > 1 else "same"},
            }
        )
        index = Index(
            experiment=experiment,
            cells=builder.cells,
            entries=builder.entries,
            notes=about.get("notes", []),
            warnings=about.get("warnings", []),
        )
        return Results(index, builder.store)

    return make
