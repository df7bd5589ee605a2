"""Published values that the measured ones differ from by more than the spread of both allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from miabench.evaluation.measure import ACCURACIES
from miabench.reports.numbers.lines import Summary, TableRow
from miabench.reports.numbers.published import ROUNDING, Moments, PaperCell
from miabench.reports.numbers.side_by_side import adaptive_lines, compare_line, other_schedules, welch


class Deviation(NamedTuple):
    """A published value and a measured one that differ by more than the spread of both allows."""

    line: TableRow
    paper: PaperCell
    quantity: str
    published: Moments
    measured: Moments

    @property
    def difference(self) -> float:
        """Measured minus published."""
        return self.measured.mean - self.published.mean


@dataclass(frozen=True)
class Deviations:
    """The published values outside the spread of the measured ones.

    Attributes:
        values: the largest difference first.
        tried: how many were compared.
        warnings: where training was not the paper's.
    """

    values: tuple[Deviation, ...]
    tried: int
    warnings: tuple[str, ...]


def deviations(summary: Summary) -> Deviations:
    """Published values outside the spread: Welch's 95% interval is on one side of zero, by more than the rounding.

    Nothing is compared of a scaled experiment, of other data, or of a single run.
    """
    experiment = summary.index.experiment
    lines = adaptive_lines(summary) if experiment.scale is None else []
    compared = [one for line in lines if (one := compare_line(line, experiment)) is not None and one.other_data is None]
    tried = [
        Deviation(one.line, one.paper, pair.quantity, *pair.moments)
        for one in compared
        for pair in one.pairs
        if pair.moments is not None and (summary.metric == "auc" or pair.quantity in ACCURACIES)
    ]
    values = sorted(filter(deviates, tried), key=lambda value: -abs(value.difference))
    warnings = other_schedules([(value.line, value.paper) for value in values], experiment)
    return Deviations(tuple(values), len(tried), tuple(warnings))


def deviates(value: Deviation) -> bool:
    """Whether Welch's 95% interval of the difference is on one side of zero, by more than the rounding."""
    _, low, high = welch(value.published, value.measured)
    return low > ROUNDING or high < -ROUNDING
