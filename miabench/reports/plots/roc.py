"""ROC curves on logarithmic axes: what an attack finds where it must not be wrong often."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from miabench import metrics
from miabench.reports.numbers.best import one_per_defense
from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.reports.numbers.names import how_chosen, title_of
from miabench.reports.plots.roc_band import Curve, roc
from miabench.reports.plots.sheet import ABREAST, LARGE_PANEL, SCREEN, Sheet
from miabench.reports.plots.sites import sites
from miabench.reports.plots.style import LABEL_WIDTH, Look, choose_looks
from miabench.reports.plots.ticks import label_decades
from miabench.reports.plots.words import escaped, mean_over, records_of, wrapped
from miabench.results.results import Results

KEY: Mapping[str, Any] = {
    "fontsize": 6.5,
    "title_fontsize": 6.5,
    "frameon": False,
    "handlelength": 1.0,
    "labelspacing": 0.2,
}
BANDS = 2  # in a panel: more would hide the curves


class Drawn(NamedTuple):
    """One curve: of a cell, in the look of its defense; the AUC is the mean over the curve's `runs`."""

    line: TableRow
    curve: Curve
    look: Look
    auc: float
    runs: int


def draw(results: Results, summary: Summary, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A panel per attack with a curve for one setting of each defense, by dataset and model.

    The legend of a panel says each AUC; the baseline and the defense of least AUC have their bands.
    """
    looks = choose_looks(line.cell for line in summary.lines)
    figures = {}
    for site in sites(summary):
        lines = [line for line in summary.lines if line.site == site]
        panels = {title: drawn for title, drawn in _panels(results, summary, lines, looks) if drawn}
        if panels:
            figures[site] = _figure(summary, lines, panels, sheet)
    return figures


def _panels(
    results: Results, summary: Summary, lines: Sequence[TableRow], looks: Mapping[str, Look]
) -> Iterator[tuple[str, list[Drawn]]]:
    chosen = [*one_per_defense(summary, [line for line in lines if line.attacker == summary.attackers[0]])]
    labels = {line.cell.label for line in chosen}
    for attack, attacker in itertools.product(lines[0].attacks, summary.attackers):
        own = [line for line in lines if line.attacker == attacker and line.cell.label in labels]
        title = f"{attack} ({attacker})" if len(summary.attackers) > 1 else attack
        yield title, [*_curves(results, own, attack, looks)]


def _curves(results: Results, lines: Sequence[TableRow], attack: str, looks: Mapping[str, Look]) -> Iterator[Drawn]:
    for line in lines:
        runs = [*results.targets(line.cell, line.attacker, attack).values()]
        if runs:  # under protocol pool runs have members of their own: the first speaks
            alike = [one for one in runs if np.array_equal(one.members, runs[0].members)]
            scores = np.stack([one.values for one in alike])
            auc = float(np.mean([metrics.auc(one.values, one.members).value for one in alike]))
            yield Drawn(line, roc(scores, runs[0].members), looks[line.cell.defense], auc, len(alike))


def _figure(summary: Summary, lines: Sequence[TableRow], panels: Mapping[str, Sequence[Drawn]], sheet: Sheet) -> Figure:
    attackers = len(summary.attackers)
    figure, every = sheet.open(len(panels), ABREAST // attackers * attackers, LARGE_PANEL)
    least = min(float(one.curve.fpr[0]) for drawn in panels.values() for one in drawn)
    for axes, (title, drawn) in zip(every, panels.items(), strict=True):
        axes.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1))
        label_decades(axes.xaxis)
        label_decades(axes.yaxis)
        axes.set_title(escaped(title), fontsize=9)
        axes.plot([least, 1], [least, 1], color="0.5", linestyle="--", linewidth=0.8, zorder=0)
        curves = [_draw_curve(axes, one, i) for i, one in enumerate(drawn)]
        for one in sorted(drawn, key=lambda one: (not one.line.is_baseline, one.auc))[:BANDS]:
            axes.fill_between(one.curve.fpr, one.curve.low, one.curve.high, color=one.look.color, alpha=0.12, lw=0)
        aucs = [f"{100 * one.auc:.1f}" for one in drawn]
        axes.legend(curves, aucs, title="AUC (%)", loc="lower right", **KEY)
    shown = {one.line.cell.label: one for drawn in panels.values() for one in drawn}
    cells, runs = [one.line.cell for one in shown.values()], max(one.runs for one in shown.values())
    text = [
        f"{cells[0].dataset}, {cells[0].model}: ROC of each attack",
        f"{mean_over(runs)}, band: pointwise 95% interval over records{' and runs' * (runs > 1)}, of no defense and of "
        f"the least AUC; {records_of(cells)}",
        *([how_chosen(summary)] if len(cells) < len({line.cell.label for line in lines}) else []),
    ]
    x, y = "false positive rate, from one false positive on", "true positive rate, less is better"
    sheet.label(figure, "\n".join(text), x, y)
    guessing = Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label="guessing")
    sheet.add_legend(figure, [*map(_handle, shown.values()), Patch(color="0.8", label="95% interval"), guessing])
    return figure


def _draw_curve(axes: Axes, drawn: Drawn, number: int) -> Line2D:
    """Each curve's markers stand elsewhere, so that they tell curves apart in grey."""
    curve, (color, marker) = drawn.curve, drawn.look
    every = (3 * number % 12, 12)
    line = Line2D(curve.fpr, curve.tpr, color=color, marker=marker, markersize=4, markevery=every, linewidth=1.2)
    axes.add_line(line)
    return line


def _handle(drawn: Drawn) -> Line2D:
    color, marker = drawn.look
    label = wrapped(title_of(drawn.line.cell), LABEL_WIDTH)
    return Line2D([], [], color=color, marker=marker, markersize=5, label=label)
