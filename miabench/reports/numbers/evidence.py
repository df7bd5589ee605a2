"""What the stored scores say of every line: means with intervals, worst cases, and differences to the baseline.

Whether a difference is called one is decided by Holm's correction over its family: all settings of all defenses of one
dataset, model and attacker in one column. Each worst case is a column of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from miabench.metrics import (
    Difference,
    Estimate,
    Verdict,
    WorstCase,
    at_least,
    difference,
    mean_over_runs,
    stacked,
    verdicts,
    worst_difference,
    worst_of,
)
from miabench.metrics.names import TITLES
from miabench.reports.numbers.best import baselines, best_values
from miabench.reports.numbers.influences import (
    RANKED,
    Runs,
    Scope,
    attacked,
    correctness,
    numbers,
    of_all,
    shared,
)
from miabench.reports.numbers.levels import Column, left_out, levels
from miabench.reports.numbers.lines import RowKey, SiteKey, Summary, TableRow
from miabench.results.results import Results

WORST_METRICS = ("auc", "tpr@1%")  # of the worst cases that are always shown
ACCURACY = "test_accuracy"
NOT_ASKED = "not in the experiment"  # why an attack of a suite is not among those compared
UNDECIDED = Verdict("not distinguishable", 1.0, None)  # before its family is known

Quantity: TypeAlias = str | Column  # `test_accuracy`, an attack's label, or a column of worst cases


@dataclass(frozen=True)
class Worst:
    """The strongest attack of a level of access against one line.

    Attributes:
        case: its value over runs, corrected for choosing among the attacks, with a 95% interval.
        attack: its label.
        missing: why attacks are not among those compared, by label: those of the level, and those of the suite of its
            name that the experiment leaves out.
    """

    case: WorstCase
    attack: str
    missing: Mapping[str, str]

    @property
    def among(self) -> str:
        """Of how many attacks, in words."""
        measured = self.case.attacks
        return f"{measured} of {measured + len(self.missing)}" if self.missing else str(measured)


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
    bases = {key: Stored(results, summary, line) for key, line in baselines(summary.lines).items()}
    found: dict[RowKey, Evidence] = {}
    for line in summary.lines:
        base = bases.get(line.site_key)
        own = base if base is not None and base.line is line else Stored(results, summary, line)
        found[line.key] = Evidence(
            accuracy=own.mean(ACCURACY, own.correct),
            attacks=dict(own.means()),
            worst=dict(own.worst_cases()),
            changes={} if base is None or base is own else dict(_changes(own, base)),
        )
    judged = _with_verdicts(found)
    lower = {line.key: dict(_lower(line, judged[line.key])) for line in summary.lines}
    return Judgement(judged, best_values(summary.lines, lower, summary.max_accuracy_loss))


def _lower(line: TableRow, evidence: Evidence) -> Iterator[tuple[Quantity, float]]:
    """The values of a line that are lower than the baseline's and distinguishable from it."""
    for quantity, change in evidence.changes.items():
        if change.verdict.word == "lower" and quantity != ACCURACY:
            if isinstance(quantity, Column):
                yield quantity, evidence.worst[quantity].case.value
            else:
                yield quantity, line.attacks[quantity].mean or 0.0


class Stored:
    """One line's stored numbers, each read once."""

    def __init__(self, results: Results, summary: Summary, line: TableRow) -> None:
        self.results = results
        self.metric = summary.metric
        self.line = line
        self.levels = levels(summary.index)
        self.left_out = {level: left_out(summary.index, level) for level in self.levels}
        self.correct: Runs = correctness(results, line)
        self._attacks: dict[tuple[str, str], Runs] = {}

    def attack(self, name: str, metric: str) -> Runs:
        """Scores or decisions of one attack, by run; none where it is not finished."""
        key = name, "" if metric in RANKED else metric  # scores are the same for all metrics that rank
        if key not in self._attacks:
            self._attacks[key] = attacked(self.results, self.line, name, metric)
        return self._attacks[key]

    def mean(self, metric: str, runs: Runs) -> Estimate | None:
        """The mean of a number over its finished runs."""
        scope = of_all(shared([self.correct]), [runs])
        (found,) = [None] if scope is None else numbers(metric, [runs], scope)
        return None if found is None else _as_asked(metric, mean_over_runs(found))

    def means(self) -> Iterator[tuple[str, Estimate]]:
        """Of every attack, in the summary's metric."""
        for name in self.line.attacks:
            estimate = self.mean(self.metric, self.attack(name, self.metric))
            if estimate is not None:
                yield name, estimate

    def columns(self) -> list[Column]:
        """Levels and metrics of worst cases."""
        metrics = dict.fromkeys((*WORST_METRICS, self.metric))
        return [Column(level, metric) for level in self.levels for metric in metrics]

    def level(self, column: Column) -> dict[str, Runs]:
        """The finished attacks of a level."""
        known = {name: self.attack(name, column.metric) for name in self.levels[column.level]}
        return {name: runs for name, runs in known.items() if runs}

    def worst_cases(self) -> Iterator[tuple[Column, Worst]]:
        """Of every level, by every metric that is shown; a stronger level's is not below a weaker's."""
        weaker: dict[str, WorstCase] = {}  # by metric
        for column in self.columns():
            attacks = self.level(column)
            scope = of_all(shared([self.correct]), [*attacks.values()])
            if scope is None:
                continue
            found = dict(zip(attacks, numbers(column.metric, [*attacks.values()], scope), strict=True))
            measured = {name: one for name, one in found.items() if one is not None}
            if measured:
                case = worst_of(stacked([*measured.values()]))
                case = at_least(case, weaker.get(column.metric, case))
                weaker[column.metric] = case
                missing = dict(self._missing(column, measured))
                yield column, Worst(_worst_as_asked(column.metric, case), [*measured][case.attack], missing)

    def _missing(self, column: Column, measured: Container[str]) -> Iterator[tuple[str, str]]:
        """Attacks that a worst case is not among, and why."""
        for name in self.levels[column.level]:
            if name not in measured:
                why = self.line.attacks[name].reason if name in self.line.attacks else None
                yield name, why or f"too few records for {TITLES[column.metric]}"
        yield from ((name, NOT_ASKED) for name in self.left_out[column.level])


# --- differences ---


def _changes(own: Stored, base: Stored) -> Iterator[tuple[Quantity, Change]]:
    """All differences to the baseline that can be told, their families not yet known."""
    scope = shared([own.correct, base.correct])
    if scope is None:
        return
    found: dict[Quantity, Change | None] = {ACCURACY: _paired(ACCURACY, own.correct, base.correct, scope)}
    found |= {name: attack_change(own, base, name, scope) for name in own.line.attacks}
    found |= {column: worst_change(own, base, column, scope) for column in own.columns()}
    yield from ((quantity, change) for quantity, change in found.items() if change is not None)


def attack_change(own: Stored, base: Stored, attack: str, scope: Scope) -> Change | None:
    """One attack on one line minus the same on another, by the summary's metric; None where either has no number."""
    return _paired(own.metric, own.attack(attack, own.metric), base.attack(attack, own.metric), scope)


def _paired(metric: str, mine: Runs, theirs: Runs, scope: Scope) -> Change | None:
    common = of_all(scope, [mine, theirs])
    a, b = (None, None) if common is None else numbers(metric, [mine, theirs], common)
    if common is None or a is None or b is None:
        return None
    return _change(metric, difference(a, b), common)


def worst_change(own: Stored, base: Stored, column: Column, scope: Scope) -> Change | None:
    """The worst case of one line minus that of another; None where either has none."""
    mine, theirs = own.level(column), base.level(column)
    common = of_all(scope, [*mine.values(), *theirs.values()]) if mine and theirs else None
    if common is None:
        return None
    found = numbers(column.metric, [*mine.values(), *theirs.values()], common)
    a, b = ([one for one in part if one is not None] for part in (found[: len(mine)], found[len(mine) :]))
    return _change(column.metric, worst_difference(stacked(a), stacked(b)), common) if a and b else None


def _change(metric: str, found: Difference, scope: Scope) -> Change:
    counts = [(int(members.sum()), int((~members).sum())) for members in scope.members.values()]
    scale = 2 if metric == "advantage" else 1
    value, low, high = (scale * one for one in found[:3])
    members, others = (min(own) for own in zip(*counts, strict=True))
    return Change(value, low, high, UNDECIDED, found, members, others, len(counts))


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


# --- the advantage, whose influences are those of balanced accuracy ---


def _as_asked(metric: str, estimate: Estimate) -> Estimate:
    return Estimate(*(2 * one - 1 for one in estimate)) if metric == "advantage" else estimate


def _worst_as_asked(metric: str, case: WorstCase) -> WorstCase:
    value, low, high = _as_asked(metric, Estimate(*case[:3]))
    return case._replace(value=value, low=low, high=high)
