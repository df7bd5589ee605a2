"""What the stored scores say of every line: means with intervals, worst cases, and differences to the baseline.

Whether a difference is called one is decided by Holm's correction over its family: all settings of all defenses of one
dataset, model and attacker in one column. Each worst case is a column of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from miabench.metrics import Difference, Estimate, Verdict, difference, verdicts
from miabench.metrics.spread import Spread
from miabench.reports.numbers.best import baselines, best_values
from miabench.reports.numbers.influences import Scope, of_all
from miabench.reports.numbers.levels import Column
from miabench.reports.numbers.lines import RowKey, SiteKey, Summary, TableRow
from miabench.reports.numbers.stored import ACCURACY, Stored, Worst
from miabench.results.results import Results

UNDECIDED = Verdict("not distinguishable", 1.0, None)  # before its family is known

Quantity: TypeAlias = str | Column  # `test_accuracy`, an attack's label, or a column of worst cases


@dataclass(frozen=True)
class Change:
    """A line's number minus the baseline's, paired by run and record.

    Attributes:
        value: a fraction.
        low: lower end of its 95% interval, which is this one's alone: not corrected for its family.
        high: upper end.
        verdict: what it may be called.
        found: the same with its variances.
        n_members: records that are members under both, in the run that has fewest.
        n_nonmembers: likewise.
        runs: finished under both.
    """

    value: float
    low: float
    high: float
    verdict: Verdict
    found: Difference
    n_members: int
    n_nonmembers: int
    runs: int

    @property
    def numbers(self) -> ChangeNumbers:
        """What is kept of a change whose family is not yet known."""
        spread = self.found.spread
        parts = None
        if spread is not None:
            records, runs, interaction = (float(one) for one in (spread.records, spread.runs, spread.interaction))
            parts = records, runs, interaction, spread.n_runs, spread.fewest
        ends = self.value, self.low, self.high
        return ChangeNumbers(ends, self.found[:4], parts, self.n_members, self.n_nonmembers, self.runs)

    @classmethod
    def of(cls, kept: ChangeNumbers) -> Change:
        """The change of which this was kept."""
        spread = None
        if kept.spread is not None:
            records, runs, interaction, n_runs, fewest = kept.spread
            spread = Spread(np.asarray(records), np.asarray(runs), np.asarray(interaction), n_runs, fewest)
        return cls(*kept.ends, UNDECIDED, Difference(*kept.found, spread), *kept[3:])


class ChangeNumbers(NamedTuple):
    """A `Change` in plain numbers."""

    ends: tuple[float, float, float]
    found: tuple[float, float, float, float]
    spread: tuple[float, float, float, int, int] | None
    n_members: int
    n_nonmembers: int
    runs: int


@dataclass(frozen=True)
class Evidence:
    """What is known of one line.

    Attributes:
        accuracy: mean test accuracy over runs; None without a finished run.
        attacks: the summary's metric by attack, of those that are finished and have an interval.
        worst: by level and metric.
        changes: to the baseline; empty for the baseline itself and where there is none.
    """

    accuracy: Estimate | None
    attacks: Mapping[str, Estimate]
    worst: Mapping[Column, Worst]
    changes: Mapping[Quantity, Change]


@dataclass(frozen=True)
class Judgement:
    """What is known of all lines.

    Attributes:
        lines: by key.
        best: what is marked, by line and quantity. In each column, among the settings of one dataset, model and
            attacker whose test accuracy is within the summary's points of the baseline's, it is the lowest value of
            those that are lower than the baseline's and distinguishable from it.
    """

    lines: Mapping[RowKey, Evidence]
    best: frozenset[tuple[RowKey, Quantity]]


Lines: TypeAlias = Mapping[RowKey, Evidence]


def judge(results: Results, summary: Summary) -> Judgement:
    """Everything that is said of the lines beyond their means.

    Cells of the baseline and cells with a collapsed run are never best; without a finished baseline no cell is, and
    the summary has a note that says so.
    """
    found: dict[RowKey, Evidence] = {}
    bases = baselines(summary.lines)
    for site_key in dict.fromkeys(line.site_key for line in summary.lines):  # what a base remembers goes with its site
        base = Stored(results, summary, bases[site_key]) if site_key in bases else None
        own = [line for line in summary.lines if line.site_key == site_key]
        found |= {line.key: _evidence(results, summary, line, base) for line in own}
    judged = _with_verdicts({line.key: found[line.key] for line in summary.lines})
    lower = {line.key: dict(_lower(line, judged[line.key])) for line in summary.lines}
    return Judgement(judged, best_values(summary.lines, lower, summary.max_accuracy_loss))


class _Kept(NamedTuple):
    """What is kept of a line's evidence."""

    accuracy: Estimate | None
    attacks: dict[str, Estimate]
    worst: list[tuple[Column, Worst]]
    changes: list[tuple[str | Column, ChangeNumbers]]


KEPT = TypeAdapter(_Kept)
CHANGE = TypeAdapter(ChangeNumbers | None)


def _evidence(results: Results, summary: Summary, line: TableRow, base: Stored | None) -> Evidence:
    """What is known of one line, and of its differences to the baseline, their families not yet known."""
    own = base if base is not None and base.line is line else Stored(results, summary, line)
    other = None if own is base else base

    def compute() -> _Kept:
        worst = list(own.worst_cases())  # first: they take all attacks at once, and what follows finds them remembered
        return _Kept(
            accuracy=own.mean(ACCURACY),
            attacks={name: mean for name in line.attacks if (mean := own.mean(name)) is not None},
            worst=worst,
            changes=[(quantity, one.numbers) for quantity, one in _changes(own, other)] if other else [],
        )

    reasons = {name: one.reason for name, one in line.attacks.items()}
    what = ["evidence", own.about, other and other.about, reasons]
    kept = results.derived.get(what, KEPT, compute)
    changes = {quantity: Change.of(one) for quantity, one in kept.changes}
    return Evidence(kept.accuracy, kept.attacks, dict(kept.worst), changes)


def _lower(line: TableRow, evidence: Evidence) -> Iterator[tuple[Quantity, float]]:
    """The values of a line that are lower than the baseline's and distinguishable from it."""
    for quantity, change in evidence.changes.items():
        if change.verdict.word == "lower" and quantity != ACCURACY:
            if isinstance(quantity, Column):
                yield quantity, evidence.worst[quantity].case.value
            else:
                yield quantity, line.attacks[quantity].mean or 0.0


# --- differences ---


def _changes(own: Stored, base: Stored) -> Iterator[tuple[Quantity, Change]]:
    """All differences to the baseline that can be told, their families not yet known."""
    scope = own.shared_with(base)
    if scope is None:
        return
    worst = {column: worst_change(own, base, column, scope) for column in own.columns()}  # first, as in `_evidence`
    paired = {name: change_of(own, base, name, scope) for name in (ACCURACY, *own.line.attacks)}
    yield from ((quantity, change) for quantity, change in (paired | worst).items() if change is not None)


def change_of(own: Stored, base: Stored, name: str, scope: Scope) -> Change | None:
    """An attack on one line minus the same on another, by the summary's metric, or the accuracy of one minus another's.

    None where either has no number.
    """
    metric = name if name == ACCURACY else own.metric
    common = of_all(scope, [own.part(name, metric), base.part(name, metric)])
    if common is None:
        return None
    a, b = (one.numbers(metric, [name], common).get(name) for one in (own, base))
    return _change(metric, difference(a, b), common) if a and b else None


def worst_change(own: Stored, base: Stored, column: Column, scope: Scope) -> Change | None:
    """The worst case of one line minus that of another; None where either has none."""
    mine, theirs = own.level(column), base.level(column)
    common = of_all(scope, [*mine.values(), *theirs.values()]) if mine and theirs else None
    if common is None:
        return None
    a, b = (one.strongest(column, common) for one in (own, base))
    return _change(column.metric, difference(a, b), common) if a and b else None


# --- of any two lines ---


def worst_between(own: Stored, other: Stored, column: Column) -> Change | None:
    """The worst case of one line minus another's, on the runs and records that both have; None where they have none."""
    return _between(own, other, column, lambda scope: worst_change(own, other, column, scope))


def attack_between(own: Stored, other: Stored, attack: str) -> Change | None:
    """The same of one attack, by the summary's metric."""
    return _between(own, other, attack, lambda scope: change_of(own, other, attack, scope))


def _between(own: Stored, other: Stored, quantity: Quantity, change: Callable[[Scope], Change | None]) -> Change | None:
    def compute() -> ChangeNumbers | None:
        scope = own.shared_with(other)
        found = change(scope) if scope else None
        return None if found is None else found.numbers

    kept = own.results.derived.get(["between", quantity, own.about, other.about], CHANGE, compute)
    return None if kept is None else Change.of(kept)


def _change(metric: str, found: Difference, scope: Scope) -> Change:
    scale = 2 if metric == "advantage" else 1
    value, low, high = (scale * one for one in found[:3])
    return Change(value, low, high, UNDECIDED, found, *scope.fewest, len(scope.rows))


def _with_verdicts(found: Lines) -> Lines:
    """The same, each difference judged in its family."""
    families: dict[tuple[SiteKey, Quantity], list[RowKey]] = defaultdict(list)
    for key, evidence in found.items():
        for quantity in evidence.changes:
            families[SiteKey(*key[:3]), quantity].append(key)
    judged: dict[RowKey, dict[Quantity, Change]] = defaultdict(dict)
    for (_, quantity), keys in families.items():
        changes = [found[key].changes[quantity] for key in keys]
        for key, change, verdict in zip(keys, changes, verdicts([one.found for one in changes]), strict=True):
            judged[key][quantity] = replace(change, verdict=verdict)
    return {
        key: replace(evidence, changes={name: judged[key][name] for name in evidence.changes})
        for key, evidence in found.items()
    }
