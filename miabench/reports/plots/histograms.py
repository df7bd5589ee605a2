"""Histograms of members against non-members with their overlap: distance to the boundary (Figure 6), confidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from miabench.metrics.estimates import Floats
from miabench.reports.numbers.lines import Site
from miabench.reports.numbers.names import title_of
from miabench.reports.plots.figure import add_legend, label_figure, open_figure
from miabench.reports.plots.records import CellRecords, RecordsBySite, SiteRecords
from miabench.reports.plots.words import escaped, records_of, runs_of

BINS = np.linspace(0, 1, 41)
MEMBERS, OTHERS = "#0072B2", "#E69F00"  # dark and light: apart in grey too
THIN = 0.55  # opacity of the non-members, in front
BOTH = "#7E8B50"  # what the two make together
ABREAST = 4


class Quantity(NamedTuple):
    """What is counted: the field of `CellRecords`, its name in the heading and on the axis."""

    field: str
    name: str
    axis: str


BOUNDARY = Quantity(
    "to_boundary",
    "distance to the decision boundary",
    "distance to the decision boundary: largest minus second largest softmax probability",
)
CONFIDENCE = Quantity("confidence", "confidence", "softmax probability of the true class")


def draw(views: RecordsBySite, quantity: Quantity) -> dict[Site, Figure]:
    """A panel per cell, by dataset and model: shares of the members and of the non-members in 40 equal bins.

    Shares are means over runs. The overlap coefficient is the sum over bins of the smaller of the two shares: 1 where
    the histograms are alike, 0 where they have no bin in common; taken in each run, then its mean and standard
    deviation. Each panel has its own scale from zero, as it is its two histograms that are to be compared.
    """
    return {site: _figure(site, view, quantity) for site, view in views.items()}


def shares(values: Floats) -> Floats:
    """The share of the values (R, N), from 0 to 1, in each bin (R, 40)."""
    share: Floats = np.stack([np.histogram(run, BINS)[0] for run in values]) / values.shape[1]
    return share


def overlaps(one: Floats, other: Floats) -> Floats:
    """The overlap coefficient of two histograms (R, bins) in each run (R,)."""
    overlap: Floats = np.minimum(one, other).sum(axis=1)
    return overlap


def _figure(site: Site, view: SiteRecords, quantity: Quantity) -> Figure:
    figure, every = open_figure(len(view.cells), ABREAST)
    for axes, seen in zip(every, view.cells, strict=True):
        _draw_panel(axes, seen, getattr(seen, quantity.field))
    runs = max(len(seen.to_boundary) for seen in view.cells)
    cells = [seen.cell for seen in view.cells]
    lines = [
        f"{site[0]}, {site[1]}: {quantity.name} of members and non-members",
        f"{runs_of(runs)}; {records_of(cells)}; 40 bins; more overlap is better; each panel has its own vertical scale",
        *([view.choice] if view.choice else []),
    ]
    label_figure(figure, "\n".join(lines), quantity.axis, "share of the records in each bin (%)")
    outlined = Patch(facecolor=to_rgba(OTHERS, THIN), edgecolor="black", linewidth=0.8, label="non-members")
    both = Patch(facecolor=BOTH, label="both: the overlap")
    add_legend(figure, [Patch(facecolor=MEMBERS, label="members"), outlined, both])
    return figure


def _draw_panel(axes: Axes, seen: CellRecords, values: Floats) -> None:
    members, others = shares(values[:, seen.members]), shares(values[:, ~seen.members])
    axes.stairs(100 * members.mean(axis=0), BINS, fill=True, color=MEMBERS)
    axes.stairs(100 * others.mean(axis=0), BINS, fill=True, color=OTHERS, alpha=THIN)
    axes.stairs(100 * others.mean(axis=0), BINS, color="black", linewidth=0.8)
    overlap = overlaps(members, others)
    spread = f" ± {overlap.std(ddof=1):.3f}" if len(overlap) > 1 else ""
    axes.set_title(f"{escaped(title_of(seen.cell))}\noverlap {overlap.mean():.3f}{spread}", fontsize=9)
    axes.set(xlim=(0, 1), ylim=(0, None))
