"""How alike a network behaves on members and non-members, as numbers: the overlap of two histograms (Figure 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from miabench.metrics.estimates import Booleans, Floats
from miabench.reports.numbers.lines import Summary
from miabench.reports.numbers.records import CellRecords, records_of_cells
from miabench.results.index import Cell
from miabench.results.results import Results
from miabench.seeds import derive

Indices: TypeAlias = NDArray[np.int64]

BINS = 40
SHUFFLES = 20  # of membership, for what two samples of one distribution would reach


class Quantity(NamedTuple):
    """What is counted: the field of `CellRecords`, its names, and the edges of 40 bins, equal in log odds.

    What lies beyond the outer edges is counted in the outer bins.
    """

    field: str
    name: str
    axis: str
    bins: Floats


BOUNDARY = Quantity(
    "to_boundary",
    "distance to the decision boundary",
    "distance to the decision boundary: largest minus second largest softmax probability",
    np.linspace(-4, 12, BINS + 1),  # few are nearer, many are further
)
CONFIDENCE = Quantity(
    "confidence", "confidence", "softmax probability of the true class", np.linspace(-12, 12, BINS + 1)
)
QUANTITIES = (BOUNDARY, CONFIDENCE)


class Consistency(NamedTuple):
    """The overlap of members and non-members in one cell and quantity.

    Attributes:
        overlaps: of each run (R,), from 0 (nothing in common) to 1 (alike).
        if_alike: what as many records of one distribution reach, the mean over shuffled memberships: less than 1,
            because two samples differ by chance.
    """

    cell: Cell
    quantity: Quantity
    overlaps: Floats
    if_alike: float


def shares(values: Floats, quantity: Quantity) -> Floats:
    """The share of the values (R, N), from 0 to 1, in each bin (R, 40)."""
    return _shares(_places(values, quantity))


def _places(values: Floats, quantity: Quantity) -> Indices:
    """Which bin, from 0, each value (R, N) is in; a bin has its lower edge, the last one both."""
    inside = np.clip(values, quantity.bins[0], quantity.bins[-1])
    return np.minimum(np.searchsorted(quantity.bins, inside, side="right") - 1, BINS - 1)


def _shares(places: Indices) -> Floats:
    runs, records = places.shape
    apart = places + BINS * np.arange(runs)[:, None]  # each run has bins of its own: one count is of all runs
    share: Floats = np.bincount(apart.ravel(), minlength=runs * BINS).reshape(runs, BINS) / records
    return share


def overlaps(one: Floats, other: Floats) -> Floats:
    """The overlap coefficient of two histograms (R, bins) in each run (R,): the sum of the smaller shares."""
    overlap: Floats = np.minimum(one, other).sum(axis=1)
    return overlap


def consistency(results: Results, summary: Summary) -> list[Consistency]:
    """Of each shown cell that has a trained target, by distance to the boundary and by confidence."""
    cells = {line.cell.key: line.cell for line in summary.lines}
    return [one for cell in cells.values() for one in _of_cell(results, cell)]


KEPT = TypeAdapter(list[tuple[list[float], float]])  # of a cell's quantities, none of a cell without a trained target


def _of_cell(results: Results, cell: Cell) -> list[Consistency]:
    def compute() -> list[tuple[list[float], float]]:
        return [one for seen in records_of_cells(results, [cell]) for one in _measured(seen)]

    kept = results.derived.get(["consistency", results.about(cell)], KEPT, compute)
    of_each = zip(QUANTITIES, kept, strict=False)
    return [Consistency(cell, quantity, np.array(own), alike) for quantity, (own, alike) in of_each]


def _measured(seen: CellRecords) -> Iterator[tuple[list[float], float]]:
    rng = np.random.default_rng(derive(0, "overlap if alike"))
    shuffled = [rng.permutation(seen.members) for _ in range(SHUFFLES)]
    for quantity in QUANTITIES:
        places = _places(getattr(seen, quantity.field), quantity)
        alike = float(np.mean([_overlap(places, members) for members in shuffled]))
        yield _overlap(places, seen.members).tolist(), alike


def _overlap(places: Indices, members: Booleans) -> Floats:
    return overlaps(*(_shares(places[:, kind]) for kind in (members, ~members)))
