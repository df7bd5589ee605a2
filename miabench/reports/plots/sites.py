"""Which cells a figure shows where there is not room for all."""

from __future__ import annotations

from collections.abc import Sequence

from miabench.reports.numbers.best import one_per_defense
from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.reports.numbers.names import how_chosen


def sites(summary: Summary) -> list[Site]:
    """Datasets and models, in the order of the experiment."""
    return list(dict.fromkeys(line.site for line in summary.lines))


def in_experiment_order(summary: Summary, lines: Sequence[TableRow]) -> list[TableRow]:
    """The lines of one dataset and model in the order of the cells, however the table is sorted."""
    order = {cell.key: i for i, cell in enumerate(summary.index.cells)}
    return sorted(lines, key=lambda line: order[line.cell.key])


def choose(summary: Summary, lines: Sequence[TableRow], most: int) -> tuple[list[TableRow], str]:
    """All lines, or one setting of each defense where they are more than `most`; and what is to be said of it.

    Args:
        summary: which the lines are of.
        lines: of one dataset, model and attacker.
        most: lines that fit.
    """
    if len(lines) <= most:
        return list(lines), ""
    return [*one_per_defense(summary, lines)], how_chosen(summary)
