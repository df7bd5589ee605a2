"""Means and spreads over runs, one line per cell and attacker, and which values are marked best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from miabench.errors import UserError, nearest
from miabench.evaluation import ATTACK_METRICS
from miabench.index import Cell, Index
from miabench.results import Results

BASELINE = "ce"  # training without a defense
TOLERANCE = 1e-9  # far below a record's weight, above the rounding of a difference of two means

State: TypeAlias = Literal["done", "failed", "n/a", "missing"]
Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Mapping[tuple[Any, ...], Sequence[Row]]


@dataclass(frozen=True)
class Statistic:
    """One quantity of one cell over its finished runs, as a fraction.

    Attributes:
        mean: over finished runs; None where there is none.
        std: standard deviation over runs (ddof 1), the spread over trainings on fixed splits; None below two runs.
        runs: finished runs.
        state: `done` with one finished run or more; otherwise why there is none: the job failed, the quantity does
            not exist (`n/a`), or it is not computed yet (`missing`).
        reason: why runs are missing, in words; None where none is.
        best: the lowest defended value of its column among those that keep the accuracy (see `summarize`).
    """

    mean: float | None
    std: float | None
    runs: int
    state: State
    reason: str | None = None
    best: bool = False

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Statistic:
        """Summarise one row of the tidy table per run."""
        values = [row["value"] for row in rows if row["value"] is not None]
        reasons = dict.fromkeys(_last_line(row["reason"]) for row in rows if row["value"] is None)
        return cls(
            mean=float(np.mean(values)) if values else None,
            std=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            runs=len(values),
            state=min((_state(row) for row in rows), key=("done", "failed", "n/a", "missing").index),
            reason="; ".join(reasons) or None,
        )


@dataclass(frozen=True)
class Line:
    """One line of the table: a cell under one attacker.

    Attributes:
        attacker: `adaptive` or `non-adaptive`.
        train: train accuracy.
        test: test accuracy.
        attacks: the metric, by the attack's label.
        collapsed: runs whose test accuracy is at chance: the 95% interval of one training is not above the share of
            the largest class among the test records, so the network cannot be told from one that always names it.
    """

    cell: Cell
    attacker: str
    train: Statistic
    test: Statistic
    attacks: Mapping[str, Statistic]
    collapsed: int

    @property
    def undefended(self) -> bool:
        """Whether this is what defenses are compared with: training on the cross-entropy alone."""
        return self.cell.defense == BASELINE and not self.cell.params

    @property
    def place(self) -> tuple[str, str, str]:
        """What lines must share to be compared: dataset, model and attacker."""
        return self.cell.dataset, self.cell.model, self.attacker


@dataclass(frozen=True)
class Summary:
    """All lines of a report.

    Attributes:
        metric: of the attacks' values.
        within: points of test accuracy below the undefended cell at which a value can still be marked best.
        chance: by dataset, the share of the largest class among the test records, where an attack's scores tell it.
        lines: in the order of the experiment.
        notes: what the reader must know about marks.
    """

    index: Index
    metric: str
    within: float
    chance: Mapping[str, float]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def attackers(self) -> tuple[str, ...]:
        """Who attacks, in the order of the experiment."""
        return tuple(dict.fromkeys(line.attacker for line in self.lines))

    def baseline(self, line: Line) -> Line | None:
        """The undefended line of the same dataset, model and attacker."""
        return next((other for other in self.lines if other.undefended and other.place == line.place), None)


def summarize(results: Results, metric: str = "auc", within: float = 5.0) -> Summary:
    """Summarise results over runs and mark the best values.

    In each attack's column, among the cells of one dataset, model and attacker, the lowest defended values are best
    (equal at the two decimals that are printed: all of them), if the cell's mean test accuracy is at most `within`
    points below the undefended cell's. Cells of `ce` and cells with a collapsed run are never best.

    Args:
        results: of an experiment, finished or not.
        metric: of the attacks, one of the tidy table's.
        within: points of test accuracy, 0 to 100.

    Raises:
        UserError: an unknown metric.
    """
    if metric not in ATTACK_METRICS:
        raise UserError(f"metric {metric!r} is not measured{nearest(metric, ATTACK_METRICS)}")
    chance = _chance(results)
    groups = defaultdict(list)
    for line in _lines(results, metric, chance):
        groups[line.place].append(line)
    # the order of the experiment: dataset, model, cell, attacker
    marked = {id(line.cell): [] for line in ()} if not groups else defaultdict[int, list[Line]](list)
    raise NotImplementedError
