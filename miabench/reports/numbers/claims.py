"""What a defense has said of its trainings, with the values that they recorded: a spent privacy budget, for example."""

from __future__ import annotations

import re
from collections.abc import Sequence

from miabench.results.index import Cell
from miabench.results.results import Results

NAME = re.compile(r"{(\w+)}")
UNKNOWN = "not recorded"


def claimed(results: Results, cell: Cell) -> str | None:
    """The values of the cell's claim, over its trained targets; None without a claim or a trained target."""
    if cell.claim is None:
        return None
    histories = (results.history(cell, entry.run) for entry in results.accuracy_entries(cell))
    last = [history.iloc[-1].to_dict() for history in histories if history is not None and len(history)]
    if not last:
        return None
    return NAME.sub(lambda name: _over_runs([end[name[1]] for end in last if name[1] in end]), cell.claim.values)


def _over_runs(values: Sequence[float]) -> str:
    """The value of all runs, or their mean and range where they differ."""
    if not values:
        return UNKNOWN
    low, mean, high = (f"{value:.4g}" for value in (min(values), sum(values) / len(values), max(values)))
    return mean if low == high else f"{mean} [{low} to {high}]"
