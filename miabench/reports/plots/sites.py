"""Which cells a figure shows where there is not room for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from miabench.metrics.names import TITLES
from miabench.reports.numbers.summary import Line, Statistic, Summary
from miabench.reports.plots.figure import Site

CHOICE = (
    "one setting of each defense: the least {} of its strongest attack within {:g} points of ce's accuracy, "
    "else the most accurate"
)


def sites(summary: Summary) -> list[Site]:
    """Datasets and models, in the order of the experiment."""
    return list(dict.fromkeys(line.place[:2] for line in summary.lines))


def in_experiment_order(summary: Summary, lines: Sequence[Line]) -> list[Line]:
    """The lines of one dataset and model in the order of the cells, however the table is sorted."""
    order = {(cell.dataset, cell.model, cell.label): i for i, cell in enumerate(summary.index.cells)}
    return sorted(lines, key=lambda line: order[*line.place[:2], line.cell.label])


def how_chosen(summary: Summary) -> str:
    """What must be said of `one_per_defense`."""
    return CHOICE.format(TITLES[summary.metric], summary.within)


def strongest(line: Line) -> Statistic | None:
    """The line's largest value of any finished attack."""
    finished = [value for value in line.attacks.values() if value.mean is not None]
    return max(finished, key=lambda value: value.mean or 0.0, default=None)


def choose(summary: Summary, lines: Sequence[Line], most: int) -> tuple[list[Line], str]:
    """All lines, or one setting of each defense where they are more than `most`; and what is to be said of it.

    Of a defense's settings it is the one with the least value of its strongest attack among those that keep the
    accuracy (see `summarize`), or the most accurate one where none does.

    Args:
        summary: which the lines are of.
        lines: of one dataset, model and attacker.
        most: lines that fit.
    """
    if len(lines) <= most:
        return list(lines), ""
    return [*one_per_defense(summary, lines)], how_chosen(summary)


def one_per_defense(summary: Summary, lines: Sequence[Line]) -> Iterable[Line]:
    """See `choose`."""
    for defense in dict.fromkeys(line.cell.defense for line in lines):
        settings = [line for line in lines if line.cell.defense == defense and line.test.mean is not None]
        keeping = [line for line in settings if _keeps_accuracy(summary, line)]
        if keeping:
            yield min(keeping, key=_worst)
        elif settings:
            yield max(settings, key=lambda line: line.test.mean or 0.0)


def _keeps_accuracy(summary: Summary, line: Line) -> bool:
    base = summary.baseline(line)
    if base is None or base.test.mean is None or line.test.mean is None:
        return False
    return not line.collapsed and line.test.mean >= base.test.mean - summary.within / 100


def _worst(line: Line) -> float:
    value = strongest(line)
    return 1.0 if value is None or value.mean is None else value.mean
