"""Means and spreads over runs, one line per cell and attacker, and which values are marked best."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from miabench.errors import UserError, nearest
from miabench.evaluation.measure import ACCURACIES, ATTACK_METRICS, find_metric
from miabench.evaluation.scores import TargetValues
from miabench.reports.numbers.claims import claimed
from miabench.reports.numbers.environments import mixed_environments
from miabench.results.index import Cell, Index
from miabench.results.results import NOT_COMPUTED, Results

BASELINE = "ce"  # training without a defense
WITHIN = 5.0  # points of test accuracy that a defense may cost for its values to be marked, unless told otherwise
TOLERANCE = 1e-9  # far below a record's weight, above the rounding of a difference of two means
QUANTITY = ("dataset", "model", "defense", "params", "attacker", "attack", "metric")

State: TypeAlias = Literal["done", "failed", "n/a", "missing"]


class Row(NamedTuple):
    """What the tidy table says of one quantity in one run."""

    value: float | None
    low: float | None
    n_members: int | None
    key: str | None
    reason: str | None


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
        values = [row.value for row in rows if row.value is not None]
        reasons = dict.fromkeys(_last_line(row.reason or "") for row in rows if row.value is None)
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
        tuned_on_target: hyper-parameters that the experiment sets and no search on the shadow half chose.
        claimed: values of the defense's claim about its trainings; None without one.
        train: train accuracy.
        test: test accuracy.
        attacks: the metric, by the attack's label.
        collapsed: runs whose test accuracy is at chance: the 95% interval of one training is not above the share of
            the largest class among the test records, so the network cannot be told from one that always names it.
        undefended: whether this is what defenses are compared with: training on the cross-entropy alone, with the
            experiment's schedule or, where that is not among the cells, with the first other one.
    """

    cell: Cell
    attacker: str
    tuned_on_target: tuple[str, ...]
    claimed: str | None
    train: Statistic
    test: Statistic
    attacks: Mapping[str, Statistic]
    collapsed: int
    undefended: bool

    @property
    def place(self) -> tuple[str, str, str]:
        """What lines must share to be compared: dataset, model and attacker."""
        return self.cell.dataset, self.cell.model, self.attacker

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the line in a report: dataset, model, attacker, and the defense with its hyper-parameters."""
        return *self.place, self.cell.label


@dataclass(frozen=True)
class Summary:
    """All lines of a report.

    Attributes:
        metric: of the attacks' values.
        within: points of test accuracy below the undefended cell at which a value can still be marked best.
        chance: by dataset, the share of the largest class among the test records, where an attack's scores tell it.
        lines: in the order of the experiment.
        notes: facts that belong beside the results: about the data, and about marks.
        warnings: what may be wrong with the results or the settings.
    """

    index: Index
    metric: str
    within: float
    chance: Mapping[str, float]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def attackers(self) -> tuple[str, ...]:
        """Who attacks, in the order of the experiment."""
        return tuple(dict.fromkeys(line.attacker for line in self.lines))

    def baseline(self, line: Line) -> Line | None:
        """The undefended line of the same dataset, model and attacker."""
        return next((other for other in self.lines if other.undefended and other.place == line.place), None)


def summarize(results: Results, metric: str = "auc", within: float = WITHIN) -> Summary:
    """Summarise results over runs and mark the best values.

    In each attack's column, among the cells of one dataset, model and attacker, the lowest defended values are best
    (equal at the two decimals that are printed: all of them), if the cell's mean test accuracy is at most `within`
    points below the undefended cell's. Cells of `ce` and cells with a collapsed run are never best.

    Args:
        results: of an experiment, finished or not.
        metric: of the attacks, one of the tidy table's; hyphens and underscores are alike.
        within: points of test accuracy, 0 to 100.

    Raises:
        UserError: an unknown metric.
    """
    known = find_metric(metric)
    if known is None:
        raise UserError(f"metric {metric!r} is not measured{nearest(metric, ATTACK_METRICS)}")
    chance = _chance(results)
    lines = list(_lines(results, known, chance))
    floors = {line.place[:2]: _floor(lines, line.place[:2], within) for line in lines}
    marked = tuple(_mark_best(lines, floors))
    return Summary(
        index=results.index,
        metric=known,
        within=within,
        chance=chance,
        lines=marked,
        notes=(*results.index.notes, *_unfiltered(marked, floors), *_compared_with(marked)),
        warnings=(*results.index.warnings, *mixed_environments(results)),
    )


def printed(fraction: float) -> str:
    """A fraction as the tables print it: percent, two decimals."""
    return f"{100 * fraction:.2f}"


# --- lines ---


def _lines(results: Results, metric: str, chance: Mapping[str, float]) -> Iterator[Line]:
    rows = _group(results, metric)
    entries = results.index.entries
    attackers = dict.fromkeys(entry.attacker for entry in entries if entry.attacker is not None)
    attacks = dict.fromkeys(entry.attack for entry in entries if entry.attack is not None)
    bases = _undefended(results.index.cells)
    for cell in results.index.cells:
        own = (cell.dataset, cell.model, cell.defense, json.dumps(cell.params))
        said = claimed(results, cell)
        train, test = (rows[*own, None, None, name] for name in ACCURACIES)
        for attacker in attackers:
            yield Line(
                cell=cell,
                attacker=attacker,
                tuned_on_target=_tuned_on_target(results, cell),
                claimed=said,
                train=Statistic.of(train),
                test=Statistic.of(test),
                attacks={attack: Statistic.of(rows[*own, attacker, attack, metric]) for attack in attacks},
                collapsed=sum(_at_chance(row, chance.get(cell.dataset)) for row in test),
                undefended=cell is bases.get((cell.dataset, cell.model)),
            )


def _tuned_on_target(results: Results, cell: Cell) -> tuple[str, ...]:
    """A default is no choice, also where it is named to tell settings apart."""
    chosen = [name for name in cell.params if name not in cell.by_default]
    return tuple(results.index.experiment.chosen_otherwise(cell.defense, chosen))


def _undefended(cells: Sequence[Cell]) -> dict[tuple[str, str], Cell]:
    """What defenses are compared with, by dataset and model: see `Line`."""
    bases: dict[tuple[str, str], Cell] = {}
    for cell in sorted(cells, key=lambda cell: bool(cell.params)):
        if cell.defense == BASELINE:
            bases.setdefault((cell.dataset, cell.model), cell)
    return bases


def _group(results: Results, metric: str) -> Rows:
    """The tidy table's rows of accuracies and one metric, one per run, by everything else that names a quantity."""
    table = results.table[results.table["metric"].isin([*ACCURACIES, metric])].astype(object)
    table = table.where(table.notna(), None)
    quantities = zip(*(table[name] for name in QUANTITY), strict=True)
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for quantity, row in zip(quantities, zip(*(table[name] for name in Row._fields), strict=True), strict=True):
        groups[quantity].append(Row(*row))
    return dict(groups)


def _state(row: Row) -> State:
    if row.value is not None:
        return "done"
    if row.key is None or row.n_members is not None:  # not planned; or measured, and not measurable
        return "n/a"
    return "missing" if row.reason == NOT_COMPUTED else "failed"


def _last_line(reason: str) -> str:
    """What a failure came to; the log and the traceback stand above it."""
    return reason.strip().rpartition("\n")[2]


# --- collapse ---


def _chance(results: Results) -> dict[str, float]:
    """Share of the largest class among the test records, by dataset; all cells of a dataset have the same ones."""
    shares: dict[str, float] = {}
    for entry in results.index.entries:
        dataset = results.index.cells[entry.cell].dataset
        if dataset in shares or not entry.records or not results.store.has(entry.records):
            continue
        target = TargetValues.load(results.store, entry.records)
        labels = target.labels[~target.members]
        shares[dataset] = float(np.bincount(labels).max() / len(labels))
    return shares


def _at_chance(row: Row, chance: float | None) -> bool:
    return row.low is not None and chance is not None and row.low <= chance


# --- marks ---


def _floor(lines: Sequence[Line], site: tuple[str, str], within: float) -> float | None:
    """The lowest mean test accuracy at which a value can be best; None without a finished undefended cell."""
    for line in lines:
        if line.undefended and line.place[:2] == site and line.test.mean is not None:
            return line.test.mean - within / 100 - TOLERANCE
    return None


def _can_be_best(line: Line, floor: float | None) -> bool:
    if line.cell.defense == BASELINE or line.collapsed or line.test.mean is None:
        return False
    return floor is None or line.test.mean >= floor


def _mark_best(lines: Sequence[Line], floors: Mapping[tuple[str, str], float | None]) -> Iterator[Line]:
    able = [_can_be_best(line, floors[line.place[:2]]) for line in lines]
    lowest: dict[tuple[Any, ...], float] = {}
    for line in itertools.compress(lines, able):
        for attack, value in line.attacks.items():
            if value.mean is not None:
                key = (*line.place, attack)
                lowest[key] = min(lowest.get(key, 1.0), value.mean)
    for line, can in zip(lines, able, strict=True):
        attacks = {
            attack: replace(value, best=can and _equal(value.mean, lowest.get((*line.place, attack))))
            for attack, value in line.attacks.items()
        }
        yield replace(line, attacks=attacks)


def _unfiltered(lines: Sequence[Line], floors: Mapping[tuple[str, str], float | None]) -> Iterator[str]:
    """Where values are marked without knowing what they cost."""
    marked = {line.place[:2]: None for line in lines if any(value.best for value in line.attacks.values())}
    for dataset, model in marked:
        if floors[dataset, model] is None:
            yield (
                f"{dataset}, {model}: no finished training without defense ({BASELINE}), so values are marked "
                "whatever they cost in accuracy"
            )


def _compared_with(lines: Sequence[Line]) -> Iterator[str]:
    """Which undefended cell others are compared with, where there is a choice or it has a schedule of its own."""
    for line in lines:
        others = [other for other in lines if other.cell.defense == BASELINE and other.place == line.place]
        if line.undefended and (line.cell.params or len(others) > 1):
            yield f"{line.cell.dataset}, {line.cell.model}: {BASELINE} that others are compared with: {line.cell.label}"


def _equal(mean: float | None, lowest: float | None) -> bool:
    return mean is not None and lowest is not None and printed(mean) == printed(lowest)
