"""One line's stored numbers: read once, and what they say of the line alone, worst cases with it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from miabench.metrics import Estimate, WorstCase, at_least, mean_over_runs, stacked, worst_of
from miabench.metrics.names import TITLES
from miabench.reports.numbers.influences import RANKED, Runs, attacked, correctness, numbers, of_all, shared
from miabench.reports.numbers.levels import Column, left_out, levels
from miabench.reports.numbers.lines import Summary, TableRow
from miabench.results.results import Results
from miabench.store.store import Ref

WORST_METRICS = ("auc", "tpr@1%")  # of the worst cases that are always shown
ACCURACY = "test_accuracy"
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
    """One line's stored numbers, which the results keep for whoever asks next."""

    def __init__(self, results: Results, summary: Summary, line: TableRow) -> None:
        self.results = results
        self.metric = summary.metric
        self.line = line
        self.levels = levels(summary.index)
        self.left_out = {level: left_out(summary.index, level) for level in self.levels}
        self._attacks: dict[tuple[str, str], Runs] = {}

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

    def _note(self, refs: Sequence[Ref]) -> None:
        """Say what is derived from stored numbers, which may have been read before."""
        for ref in refs:
            self.results.derived.note(ref)

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


# --- the advantage, whose influences are those of balanced accuracy ---


def _as_asked(metric: str, estimate: Estimate) -> Estimate:
    return Estimate(*(2 * one - 1 for one in estimate)) if metric == "advantage" else estimate


def _worst_as_asked(metric: str, case: WorstCase) -> WorstCase:
    value, low, high = _as_asked(metric, Estimate(*case[:3]))
    return case._replace(value=value, low=low, high=high)
