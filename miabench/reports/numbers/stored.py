"""One line's stored numbers: read once, and what they say of the line alone, worst cases with it."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from miabench.metrics import Estimate, Influences, WorstCase, at_least, mean_over_runs, stacked, strongest, worst_of
from miabench.metrics.names import TITLES
from miabench.reports.numbers.influences import RANKED, Runs, Scope, attacked, correctness, numbers, of_all, shared
from miabench.reports.numbers.levels import Column, left_out, levels
from miabench.reports.numbers.lines import Summary, TableRow
from miabench.results.results import Results
from miabench.store.store import Ref

WORST_METRICS = ("auc", "tpr@1%")  # of the worst cases that are always shown
ACCURACY = "test_accuracy"
MOST = 2**27  # bytes of influences that are remembered of a line
NOT_ASKED = "not in the experiment"  # why an attack of a suite is not among those compared


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


class Stored:
    """One line's stored numbers, which the results keep for whoever asks next, and the influences made of them.

    A mean, worst cases and differences are made of the same influences: those that were asked for are remembered as
    long as the line's own object is, by the scope that they are on, and computed anew where there is no room.
    """

    def __init__(self, results: Results, summary: Summary, line: TableRow) -> None:
        self.results = results
        self.metric = summary.metric
        self.line = line
        self.levels = levels(summary.index)
        self.left_out = {level: left_out(summary.index, level) for level in self.levels}
        self._attacks: dict[tuple[str, str], Runs] = {}
        self._remembered: dict[Hashable, Influences | None] = {}
        self._room = MOST

    @property
    def about(self) -> list[Any]:
        """All that is said of the line alone depends on beside what is stored."""
        return [self.results.about(self.line.cell), self.line.attacker, self.metric, self.levels, self.left_out]

    @property
    def correct(self) -> Runs:
        """Whether each record is classified correctly, by run."""
        self._note(self.results.records(self.line.cell))
        return self._correct

    @cached_property
    def _correct(self) -> Runs:
        return self.results.kept.get(self.line.key, lambda: correctness(self.results, self.line))

    def attack(self, name: str, metric: str) -> Runs:
        """Scores or decisions of one attack, by run; none where it is not finished."""
        self._note(self.results.records(self.line.cell, self.line.attacker, name))
        key = name, "" if metric in RANKED else metric  # scores are the same for all metrics that rank
        if key not in self._attacks:
            self._attacks[key] = self.results.kept.get(
                (self.line.key, *key), lambda: attacked(self.results, self.line, name, metric)
            )
        return self._attacks[key]

    def part(self, name: str, metric: str) -> Runs:
        """What an attack's number, or `test_accuracy`, is made of."""
        return self.correct if name == ACCURACY else self.attack(name, metric)

    def _note(self, refs: Sequence[Ref]) -> None:
        """Say what is derived from stored numbers, which may have been read before."""
        for ref in refs:
            self.results.derived.note(ref)

    @property
    def scope(self) -> Scope | None:
        """All its runs and records."""
        return self._scope if self.correct else None

    @cached_property
    def _scope(self) -> Scope | None:
        return shared([self._correct])

    def shared_with(self, other: Stored) -> Scope | None:
        """The runs and records that two lines share, which are mostly all of both."""
        mine, theirs = self.scope, other.scope
        if mine is None or theirs is None or mine.key == theirs.key:
            return mine and theirs
        return shared([self.correct, other.correct])

    def numbers(self, metric: str, names: Sequence[str], scope: Scope) -> dict[str, Influences]:
        """One number of several attacks, or the accuracy, on the same runs and records; not where there is none.

        Args:
            metric: of attacks, or `test_accuracy`.
            names: labels of attacks, or `test_accuracy`.
            scope: as `of_all` has it of these, maybe among others.
        """
        keys = {name: (scope.key, metric, name) for name in names}
        new = [name for name, key in keys.items() if key not in self._remembered]
        made = numbers(metric, [self.part(name, metric) for name in new], scope)
        known = {name: self._remembered[key] for name, key in keys.items() if name not in new}
        known |= zip(new, made, strict=True)
        for name in new:
            self._remember(keys[name], known[name])
        return {name: one for name in names if (one := known[name]) is not None}

    def strongest(self, column: Column, scope: Scope) -> Influences | None:
        """Of the worst case of a level, corrected; None where no attack has the number."""
        key = scope.key, column
        if key in self._remembered:
            return self._remembered[key]
        measured = self.numbers(column.metric, [*self.level(column)], scope)
        found = strongest(stacked([*measured.values()])) if measured else None
        if found is not None:
            found = found._replace(records=found.records.copy())  # without the others, of which it is a part
        self._remember(key, found)
        return found

    def _remember(self, key: Hashable, one: Influences | None) -> None:
        size = 0 if one is None else one.records.nbytes
        if size <= self._room:
            self._room -= size
            self._remembered[key] = one

    def mean(self, name: str) -> Estimate | None:
        """The mean of an attack's summary metric, or of `test_accuracy`, over its finished runs."""
        metric = name if name == ACCURACY else self.metric
        scope = of_all(self.scope, [self.part(name, metric)])
        found = self.numbers(metric, [name], scope).get(name) if scope else None
        return None if found is None else _as_asked(metric, mean_over_runs(found))

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
            scope = of_all(self.scope, [*attacks.values()])
            measured = self.numbers(column.metric, [*attacks], scope) if scope else {}
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


# --- the advantage, whose influences are those of balanced accuracy ---


def _as_asked(metric: str, estimate: Estimate) -> Estimate:
    return Estimate(*(2 * one - 1 for one in estimate)) if metric == "advantage" else estimate


def _worst_as_asked(metric: str, case: WorstCase) -> WorstCase:
    value, low, high = _as_asked(metric, Estimate(*case[:3]))
    return case._replace(value=value, low=low, high=high)
