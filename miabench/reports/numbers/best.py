"""What is best: what defenses are compared with, what they may cost in accuracy, and their strongest attack.

Tables, sentences, plots and recommendations choose by these rules alone, so that they agree. Without a finished
training of the baseline nobody knows what a defense costs: nothing is best then, and the report says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from miabench.reports.numbers.lines import RowKey, Site, SiteKey, Summary, TableRow, printed
from miabench.results.index import Cell, CellKey

TOLERANCE = 1e-9  # far below a record's weight, above the rounding of a difference of two means


Q = TypeVar("Q")  # what names a quantity


class Strongest(NamedTuple):
    """The attack with the largest mean, and that mean, a fraction."""

    attack: str
    mean: float


# --- the baseline, and what a defense may cost ---


def baseline_cells(cells: Sequence[Cell]) -> Mapping[Site, CellKey]:
    """What defenses are compared with: the baseline with the experiment's schedule, or else the first other one."""
    chosen: dict[Site, CellKey] = {}
    for cell in sorted(cells, key=lambda cell: bool(cell.params)):
        if cell.is_baseline:
            chosen.setdefault(Site(cell.dataset, cell.model), cell.key)
    return chosen


def baselines(lines: Sequence[TableRow]) -> Mapping[SiteKey, TableRow]:
    """The lines that others of the same dataset, model and attacker are compared with, finished or not."""
    return {line.site_key: line for line in lines if line.is_baseline}


def largest_loss(budget: float) -> float:
    """The largest loss of accuracy that is within a budget, both as fractions: exactly the budget is within it."""
    return budget + TOLERANCE


def keeps_accuracy(line: TableRow, baseline: TableRow | None, max_accuracy_loss: float) -> bool:
    """Whether a line has not collapsed and costs at most so many points of test accuracy.

    Args:
        line: finished or not; what is not finished keeps nothing.
        baseline: of the same dataset, model and attacker; nothing keeps accuracy without a finished one.
        max_accuracy_loss: points, 0 to 100.
    """
    if baseline is None or baseline.test.mean is None or line.test.mean is None or line.collapsed:
        return False
    return baseline.test.mean - line.test.mean <= largest_loss(max_accuracy_loss / 100)


# --- the strongest attack, and the best setting ---


def finished_attacks(line: TableRow, baseline: TableRow | None) -> list[str]:
    """Attacks that are finished on both sides; on the line alone where there is no baseline."""
    sides = [line] if baseline is None else [line, baseline]
    return [name for name in line.attacks if all(side.attacks[name].mean is not None for side in sides)]


def strongest(line: TableRow, attacks: Sequence[str]) -> Strongest | None:
    """The attack with the largest mean among some; None if none of them is finished."""
    finished = [Strongest(name, mean) for name in attacks if (mean := line.attacks[name].mean) is not None]
    return max(finished, key=lambda one: (one.mean, one.attack), default=None)


def best_setting(settings: Sequence[TableRow], baseline: TableRow | None, max_accuracy_loss: float) -> TableRow | None:
    """The one setting that stands for a defense; None where none has a finished training.

    Of the settings that keep the accuracy it is the one with the weakest strongest attack. Where none does it is the
    most accurate one, of those that did not collapse and were attacked if there are any.

    Args:
        settings: of one defense, dataset, model and attacker.
        baseline: of the same dataset, model and attacker.
        max_accuracy_loss: points, 0 to 100.
    """

    def worst_case(line: TableRow) -> float:
        top = strongest(line, finished_attacks(line, baseline))
        return math.inf if top is None else top.mean

    def accurate(line: TableRow) -> tuple[bool, bool, float, float]:
        leaks = worst_case(line)
        return not line.collapsed, leaks < math.inf, line.test.mean or 0.0, -leaks

    attacked = [line for line in settings if worst_case(line) < math.inf]
    keeping = [line for line in attacked if keeps_accuracy(line, baseline, max_accuracy_loss)]
    if keeping:
        return min(keeping, key=worst_case)
    return max((line for line in settings if line.test.mean is not None), key=accurate, default=None)


def one_per_defense(summary: Summary, lines: Sequence[TableRow]) -> Iterator[TableRow]:
    """The setting that stands for each defense, as `best_setting` chooses it.

    Args:
        summary: which the lines are of.
        lines: of one dataset, model and attacker.
    """
    bases = baselines(summary.lines)
    for defense in dict.fromkeys(line.cell.defense for line in lines):
        settings = [line for line in lines if line.cell.defense == defense]
        best = best_setting(settings, bases.get(settings[0].site_key), summary.max_accuracy_loss)
        if best is not None:
            yield best


# --- marks ---


def best_values(
    lines: Sequence[TableRow], values: Mapping[RowKey, Mapping[Q, float]], max_accuracy_loss: float
) -> frozenset[tuple[RowKey, Q]]:
    """Which values are marked: the lowest of each quantity among the defenses that keep the accuracy.

    Lines of one dataset, model and attacker compete. Values that are printed alike are all marked.

    Args:
        lines: all of a report.
        values: by line and quantity, those that may be marked.
        max_accuracy_loss: points of test accuracy below the baseline's.
    """
    bases = baselines(lines)
    able = [line for line in lines if not line.cell.is_baseline]
    able = [line for line in able if keeps_accuracy(line, bases.get(line.site_key), max_accuracy_loss)]
    lowest: dict[tuple[SiteKey, Q], float] = {}
    for line in able:
        for quantity, value in values.get(line.key, {}).items():
            column = line.site_key, quantity
            lowest[column] = min(lowest.get(column, math.inf), value)
    return frozenset(
        (line.key, quantity)
        for line in able
        for quantity, value in values.get(line.key, {}).items()
        if printed(value) == printed(lowest[line.site_key, quantity])
    )


def why_nothing_is_best(lines: Sequence[TableRow]) -> Iterator[str]:
    """Where defenses are finished and none can be best, because the baseline is not finished."""
    finished = {line.site for line in lines if line.is_baseline and line.test.mean is not None}
    waiting = [line for line in lines if any(value.mean is not None for value in line.attacks.values())]
    for site in dict.fromkeys(line.site for line in waiting if not line.cell.is_baseline):
        if site not in finished:
            yield (
                f"{site.dataset}, {site.model}: no finished training without defense, so nobody knows what a defense "
                "costs in accuracy, and nothing is marked best"
            )
