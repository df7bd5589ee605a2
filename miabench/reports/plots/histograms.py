"""Histograms of members against non-members with their overlap: distance to the boundary (Figure 6), confidence."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.special import logit

from miabench.reports.numbers.consistency import BOUNDARY, CONFIDENCE, Quantity, overlaps, shares
from miabench.reports.numbers.lines import Site
from miabench.reports.numbers.names import title_of
from miabench.reports.numbers.records import CellRecords
from miabench.reports.plots.records import RecordsBySite, SiteRecords
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.plots.words import escaped, records_of, runs_of

__all__ = ["BOUNDARY", "CONFIDENCE", "draw"]

MEMBERS, OTHERS = "#0072B2", "#E69F00"  # dark and light: apart in grey too
THIN = 0.55  # opacity of the non-members, in front
BOTH = "#7E8B50"  # what the two make together
ABREAST = 4
PANEL = (2.8, 2.0)  # inches: a row for each approach
TICKS = (0.0001, 0.01, 0.5, 0.99, 0.9999)


def draw(views: RecordsBySite, quantity: Quantity, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A row per approach and a panel per setting, by dataset and model: shares of members and of non-members.

    The bins are equal in log odds, so that the records of a confident network are not all in one; shares are means
    over runs. The panels of an approach have one vertical scale. The overlap is `consistency.overlaps`.
    """
    return {site: _figure(site, view, quantity, sheet) for site, view in views.items()}


def _figure(site: Site, view: SiteRecords, quantity: Quantity, sheet: Sheet) -> Figure:
    rows = [*_rows(view.cells, sheet)]
    places = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
    figure, every = sheet.open_grid(places, PANEL)
    shown = [seen for row in rows for seen in row]
    for axes, seen in zip(every, shown, strict=True):
        _draw_panel(axes, seen, quantity)
    for axes, seen in zip(every, shown, strict=True):
        alike = [one for one, other in zip(every, shown, strict=True) if other.cell.defense == seen.cell.defense]
        axes.set_ylim(0, max(one.dataLim.y1 for one in alike) * 1.05)
    runs = max(len(seen.to_boundary) for seen in view.cells)
    cells = [seen.cell for seen in view.cells]
    lines = [
        f"{site[0]}, {site[1]}: {quantity.name} of members and non-members",
        f"{runs_of(runs)}; {records_of(cells)}; bins are equal in log odds; more overlap is better; each approach has "
        "its own vertical scale",
        *([view.choice] if view.choice else []),
    ]
    sheet.label(figure, "\n".join(lines), f"{quantity.axis} (scale: log odds)", "share of the records in each bin (%)")
    outlined = Patch(facecolor=to_rgba(OTHERS, THIN), edgecolor="black", linewidth=0.8, label="non-members")
    both = Patch(facecolor=BOTH, label="both: the overlap")
    sheet.add_legend(figure, [Patch(facecolor=MEMBERS, label="members"), outlined, both])
    return figure


def _rows(cells: Sequence[CellRecords], sheet: Sheet) -> list[list[CellRecords]]:
    """The settings of each approach, in rows of as many as stand side by side."""
    approaches = [
        [seen for seen in cells if seen.cell.defense == defense]
        for defense in dict.fromkeys(seen.cell.defense for seen in cells)
    ]
    columns = sheet.abreast(max(map(len, approaches)), ABREAST)
    return [own[i : i + columns] for own in approaches for i in range(0, len(own), columns)]


def _draw_panel(axes: Axes, seen: CellRecords, quantity: Quantity) -> None:
    values = getattr(seen, quantity.field)
    members, others = (shares(values[:, kind], quantity) for kind in (seen.members, ~seen.members))
    axes.stairs(100 * members.mean(axis=0), quantity.bins, fill=True, color=MEMBERS)
    axes.stairs(100 * others.mean(axis=0), quantity.bins, fill=True, color=OTHERS, alpha=THIN)
    axes.stairs(100 * others.mean(axis=0), quantity.bins, color="black", linewidth=0.8)
    overlap = overlaps(members, others)
    spread = f" ± {overlap.std(ddof=1):.3f}" if len(overlap) > 1 else ""
    axes.set_title(f"{escaped(title_of(seen.cell))}\noverlap {overlap.mean():.3f}{spread}", fontsize=9)
    axes.set_xlim(quantity.bins[0], quantity.bins[-1])
    ticks = [tick for tick in TICKS if quantity.bins[0] < logit(tick) < quantity.bins[-1]]
    axes.set_xticks([logit(tick) for tick in ticks], [f"{tick:g}" for tick in ticks], rotation=45)
