"""Which cells' records a figure shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from miabench.reports.numbers.lines import Site, SiteKey, Summary
from miabench.reports.numbers.records import CellRecords, records_of_cells
from miabench.reports.plots.sites import choose, sites
from miabench.results.results import Results

MOST_CELLS = 24  # in one figure


class SiteRecords(NamedTuple):
    """Cells of one dataset and model, and what must be said about their choice."""

    cells: Sequence[CellRecords]
    choice: str


RecordsBySite: TypeAlias = Mapping[Site, SiteRecords]


def load_records(results: Results, summary: Summary) -> dict[Site, SiteRecords]:
    """What the targets answer, by dataset and model, of those that have a trained target."""
    seen = {}
    for site in sites(summary):
        lines = [line for line in summary.lines if line.site_key == SiteKey(*site, summary.attackers[0])]
        chosen, choice = choose(summary, lines, MOST_CELLS)
        cells = [*records_of_cells(results, [line.cell for line in chosen])]
        if cells:
            seen[site] = SiteRecords(cells, choice)
    return seen
