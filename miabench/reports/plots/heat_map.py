"""Every defense under every attack: a number and a shade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from miabench.reports.numbers.lines import Site, SiteKey, Summary, TableRow
from miabench.reports.numbers.names import title_of
from miabench.reports.plots.axis import Measure
from miabench.reports.plots.shades import CELL, LETTER, numbered
from miabench.reports.plots.sheet import LEGEND, SCREEN, WIDTHS, Sheet
from miabench.reports.plots.sites import choose, sites
from miabench.reports.plots.style import LABEL_WIDTH
from miabench.reports.plots.words import mean_over, records_of, wrapped

MOST_ROWS = 40
PAPER = 7.0  # points of names on paper
DIGITS = 4.5  # letters of a number and the room beside it
PAPER_LABEL = 18  # characters of a row's name on paper before it goes on in the next line
LEAST_SPAN = 20.0  # points that the shades cover at least


def draw(summary: Summary, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A panel per attacker, by dataset and model: a row per cell, a column per attack.

    Where there is no number, the word of the table stands: n/a, failed or missing.
    """
    figures = {}
    for site in sites(summary):
        first = [line for line in summary.lines if line.site_key == SiteKey(*site, summary.attackers[0])]
        chosen, choice = choose(summary, first, MOST_ROWS)
        labels = {line.cell.label for line in chosen}
        lines = [line for line in summary.lines if line.site == site and line.cell.label in labels]
        if any(value.mean is not None for line in lines for value in line.attacks.values()):
            figures[site] = _figure(summary, lines, choice, sheet)
    return figures


def _figure(summary: Summary, lines: Sequence[TableRow], choice: str, sheet: Sheet) -> Figure:
    rows, columns, panels = len(lines) // len(summary.attackers), len(lines[0].attacks), len(summary.attackers)
    names = LETTER * max(len(title_of(line.cell)) for line in lines)
    if sheet.width is None:
        width, down, size, letters = max(names + panels * columns * CELL[0] + 1.2, 6.0) + LEGEND, 1, 8.0, 8.0
    else:
        width, down, size = WIDTHS[sheet.width], panels if sheet.width == "column" else 1, PAPER
        room = (width - min(names, LETTER * PAPER_LABEL)) * down / (panels * columns)
        letters = min(PAPER, 8 * room / (DIGITS * LETTER))  # of the numbers
    figure = Figure(figsize=(width, down * (rows * CELL[1] + 0.6) + 0.8), layout="constrained")
    values = np.array([[_percent(line, attack) for attack in line.attacks] for line in lines])
    measure = Measure.of(summary)
    low = min(measure.guessing, float(np.nanmin(values)))
    limits = low, max(low + LEAST_SPAN, float(np.nanmax(values)))
    for i, attacker in enumerate(summary.attackers):
        axes = figure.add_subplot(down, panels // down, i + 1)
        own = [line for line in lines if line.attacker == attacker]
        image = _draw_panel(axes, own, limits, letters)
        axes.set_title(f"{attacker} attacker", fontsize=9)
        broken_at = LABEL_WIDTH if sheet.width is None else PAPER_LABEL
        titles = [wrapped(title_of(line.cell), broken_at) for line in own]
        axes.set_yticks(range(rows), titles if i % (panels // down) == 0 else [])
        axes.tick_params(labelsize=size)
    place = "right" if sheet.width is None else "bottom"
    bar = figure.colorbar(image, ax=figure.axes, location=place, fraction=0.05, pad=0.02)
    bar.set_label(f"{measure.name} (%), less is better", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    cells, runs = [line.cell for line in lines], max(line.test.runs for line in lines)
    text = [
        f"{cells[0].dataset}, {cells[0].model}: {measure.name} of each attack (%)",
        f"{mean_over(runs)}; {records_of(cells)}",
        *([choice] if choice else []),
    ]
    sheet.label(figure, "\n".join(text), "", "")
    return figure


def _draw_panel(axes: Axes, lines: Sequence[TableRow], limits: tuple[float, float], letters: float) -> AxesImage:
    values = np.array([[_percent(line, attack) for attack in line.attacks] for line in lines])
    states = [[value.state for value in line.attacks.values()] for line in lines]
    image = numbered(axes, values, states, limits, "{:.1f}", letters)
    axes.set_xticks(
        range(values.shape[1]), [wrapped(name, LABEL_WIDTH) for name in lines[0].attacks], rotation=45, ha="right"
    )
    return image


def _percent(line: TableRow, attack: str) -> float:
    mean = line.attacks[attack].mean
    return np.nan if mean is None else 100 * mean
