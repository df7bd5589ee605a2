"""What a report says, line by line: values over runs, and the keys by which lines are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from miabench.results.index import Cell, Index, Shown
from miabench.results.results import NOT_COMPUTED

State: TypeAlias = Literal["done", "failed", "n/a", "missing"]
STATES: tuple[State, ...] = ("done", "failed", "n/a", "missing")  # what several runs come to: the first of these


class Measurement(NamedTuple):
    """What is stored of one quantity in one run."""

    value: float | None
    low: float | None
    n_members: int | None
    key: str | None
    reason: str | None


class Site(NamedTuple):
    """Where cells stand together: they share what they are trained on."""

    dataset: str
    model: str


class SiteKey(NamedTuple):
    """What lines must share to be compared."""

    dataset: str
    model: str
    attacker: str


class RowKey(NamedTuple):
    """What names a line in a report: the label is the defense with its hyper-parameters."""

    dataset: str
    model: str
    attacker: str
    label: str


@dataclass(frozen=True)
class RunStats:
    """One quantity of one cell over its finished runs, as a fraction.

    Attributes:
        mean: over finished runs; None where there is none.
        std: standard deviation over runs (ddof 1), the spread over trainings on fixed splits; None below two runs.
        runs: finished runs.
        state: `done` with one finished run or more; otherwise why there is none: the job failed, the quantity does
            not exist (`n/a`), or it is not computed yet (`missing`).
        reason: why runs are missing, in words; None where none is.
    """

    mean: float | None
    std: float | None
    runs: int
    state: State
    reason: Shown | None = None

    @classmethod
    def of(cls, measured: Sequence[Measurement]) -> RunStats:
        """Summarise one measurement per run."""
        values = [one.value for one in measured if one.value is not None]
        reasons = dict.fromkeys(_last_line(one.reason or "") for one in measured if one.value is None)
        return cls(
            mean=float(np.mean(values)) if values else None,
            std=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            runs=len(values),
            state=min((_state(one) for one in measured), key=STATES.index),
            reason="; ".join(reasons) or None,
        )


@dataclass(frozen=True)
class TableRow:
    """One line of the table: a cell under one attacker.

    Attributes:
        attacker: `adaptive` or `non-adaptive`.
        tuned_on_target: hyper-parameters that the experiment sets and no search on the shadow half chose.
        claimed: values of the defense's claim about its trainings; None without one.
        train: train accuracy.
        test: test accuracy.
        attacks: the metric, by the attack's label.
        collapsed: runs that learnt nothing: the 95% intervals of their accuracies on members and on non-members are
            not above the shares of the largest class there, so the network cannot be told from one that always names
            it. One that knows its members and no others is overfitted: it leaks, and has not collapsed.
        is_baseline: whether this is what defenses are compared with (see `best.baseline_cells`).
    """

    cell: Cell
    attacker: str
    tuned_on_target: tuple[str, ...]
    claimed: str | None
    train: RunStats
    test: RunStats
    attacks: Mapping[str, RunStats]
    collapsed: int
    is_baseline: bool

    @property
    def site(self) -> Site:
        """The dataset and the model."""
        return Site(self.cell.dataset, self.cell.model)

    @cached_property
    def site_key(self) -> SiteKey:
        """What lines must share to be compared: dataset, model and attacker."""
        return SiteKey(*self.site, self.attacker)

    @cached_property
    def key(self) -> RowKey:
        """What names the line in a report."""
        return RowKey(*self.site_key, self.cell.label)


class Chance(NamedTuple):
    """What always naming the largest class gives, as fractions.

    Attributes:
        train: accuracy on members.
        test: accuracy on non-members.
    """

    train: float
    test: float


@dataclass(frozen=True)
class Summary:
    """All lines of a report.

    Attributes:
        metric: of the attacks' values.
        max_accuracy_loss: points of test accuracy below the baseline at which a value can still be marked best.
        chance: by dataset, what always naming the largest class gives, where stored records tell it.
        lines: in the order of the experiment.
        notes: facts that belong beside the results: about the data, and about marks.
        warnings: what may be wrong with the results or the settings.
    """

    index: Index
    metric: str
    max_accuracy_loss: float
    chance: Mapping[str, Chance]
    lines: tuple[TableRow, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def attackers(self) -> tuple[str, ...]:
        """Who attacks, in the order of the experiment."""
        return tuple(dict.fromkeys(line.attacker for line in self.lines))


def printed(fraction: float) -> str:
    """A fraction as all tables print it: percent, two decimals."""
    return f"{100 * fraction:.2f}"


def signed(fraction: float) -> str:
    """A difference of fractions as all tables print it: points, two decimals, always with a sign, 0 with a plus."""
    return f"{round(100 * fraction, 2) + 0.0:+.2f}"


def _state(measured: Measurement) -> State:
    if measured.value is not None:
        return "done"
    if measured.key is None or measured.n_members is not None:  # not planned; or measured, and not measurable
        return "n/a"
    return "missing" if measured.reason == NOT_COMPUTED else "failed"


def _last_line(reason: str) -> str:
    """What a failure came to; the log and the traceback stand above it."""
    return reason.strip().rpartition("\n")[2]
