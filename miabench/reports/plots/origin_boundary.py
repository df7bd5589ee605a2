"""Distance to the origin against distance to the decision boundary, members and non-members (Figure 1)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from miabench.reports.numbers.lines import Site
from miabench.reports.numbers.names import title_of
from miabench.reports.numbers.records import CellRecords
from miabench.reports.plots.histograms import MEMBERS, OTHERS
from miabench.reports.plots.records import RecordsBySite, SiteRecords
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.plots.style import handle
from miabench.reports.plots.words import escaped, records_of
from miabench.seeds import derive

MOST_POINTS = 1000  # of each kind; more would hide each other
ABREAST = 4


def draw(views: RecordsBySite, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A panel per cell, by dataset and model: a point per record of the first finished run."""
    return {site: _figure(site, view, sheet) for site, view in views.items()}


def _figure(site: Site, view: SiteRecords, sheet: Sheet) -> Figure:
    figure, every = sheet.open(len(view.cells), ABREAST)
    for axes, seen in zip(every, view.cells, strict=True):
        _draw_panel(axes, seen)
    cells = [seen.cell for seen in view.cells]
    lines = [
        f"{site[0]}, {site[1]}: distance to the origin against distance to the decision boundary, which is the largest "
        "minus the second largest softmax probability",
        f"one training; {records_of(cells)}, at most {MOST_POINTS:,} of each drawn; "
        "each panel has its own horizontal scale",
        *([view.choice] if view.choice else []),
    ]
    x = "distance to the origin: length of the feature vector"
    y = "distance to the decision boundary"
    sheet.label(figure, "\n".join(lines), x, y)
    sheet.add_legend(figure, [handle("members", MEMBERS), handle("non-members", OTHERS, "o")])
    return figure


def _draw_panel(axes: Axes, seen: CellRecords) -> None:
    rng = np.random.default_rng(derive(0, "points of a figure"))
    kinds = (np.flatnonzero(seen.members), np.flatnonzero(~seen.members))
    shown = np.concatenate([rng.permutation(rows)[:MOST_POINTS] for rows in kinds])
    rng.shuffle(shown)  # so that neither kind lies on top of the other
    colors = np.where(seen.members[shown], MEMBERS, OTHERS)
    axes.scatter(
        seen.to_origin[0, shown],
        expit(seen.to_boundary[0, shown]),
        c=list(colors),
        s=5,
        linewidths=0,
        alpha=0.7,
        clip_on=False,  # at the ends whole too
        rasterized=True,  # thousands of points as an image: small files
    )
    axes.set_title(escaped(title_of(seen.cell)), fontsize=9)
    axes.set(xlim=(0, None), ylim=(0, 1))
