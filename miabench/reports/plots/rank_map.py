"""Loss-rank correlation of every two defenses, on members and on non-members: a number and a shade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from miabench.reports.numbers.lines import Site
from miabench.reports.numbers.loss_ranks import LossRanks
from miabench.reports.numbers.names import title_of
from miabench.reports.plots.shades import CELL, LETTER, numbered
from miabench.reports.plots.sheet import LEGEND, SCREEN, WIDTHS, Sheet
from miabench.reports.plots.style import LABEL_WIDTH
from miabench.reports.plots.words import mean_over, wrapped


def draw(found: Sequence[LossRanks], sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A panel for members and one for non-members, by dataset and model: a row and a column per defense."""
    figures = {}
    for site in dict.fromkeys(one.site for one in found):
        figures[site] = _figure(site, [one for one in found if one.site == site], sheet)
    return figures


def _figure(site: Site, panels: Sequence[LossRanks], sheet: Sheet) -> Figure:
    size = len(panels[0].lines)
    names = [title_of(line.cell) for line in panels[0].lines]
    wanted = max(LETTER * max(map(len, names)) + len(panels) * size * CELL[0] + 1.2, 6.0) + LEGEND
    width = wanted if sheet.width is None else WIDTHS[sheet.width]
    letters = 8 * min(1.0, max(0.5, width / wanted))  # of the numbers, which have less room on paper
    figure = Figure(figsize=(width, size * CELL[1] + 1.8), layout="constrained")
    known = [correlation for one in panels for correlation in one.found.values()]
    limits = min(0.0, *(correlation.value for correlation in known)), 1.0
    for i, one in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        image = _draw_panel(axes, one, limits, letters)
        axes.set_title(one.records, fontsize=9)
        axes.set_yticks(range(size), [wrapped(name, LABEL_WIDTH) for name in names] if i == 0 else [""] * size)
    bar = figure.colorbar(image, ax=figure.axes, fraction=0.05, pad=0.02)
    bar.set_label("rank correlation of losses", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    fewest, runs = (min(getattr(one, name) for one in known) for name in ("n_records", "runs"))
    text = [
        f"{site.dataset}, {site.model}: loss-rank correlation of every two defenses (1: the same records are hard)",
        f"{mean_over(runs)}, of at least {fewest:,} records; of a defense with itself: two of its trainings",
    ]
    sheet.label(figure, "\n".join(text), "", "")
    return figure


def _draw_panel(axes: Axes, one: LossRanks, limits: tuple[float, float], letters: float) -> AxesImage:
    places = range(len(one.lines))
    cells = [[one.between(i, j) for j in places] for i in places]
    values = np.array([[np.nan if found is None else found.value for found in row] for row in cells])
    image = numbered(axes, values, [["n/a"] * len(places)] * len(places), limits, "{:.2f}", letters)
    labels = [wrapped(title_of(line.cell), LABEL_WIDTH) for line in one.lines]
    axes.set_xticks(places, labels, rotation=45, ha="right")
    return image
