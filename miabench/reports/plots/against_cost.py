"""What privacy costs: seconds of making one target against the AUC of its strongest attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from miabench.reports.numbers.best import strongest
from miabench.reports.numbers.cost import Costs
from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.reports.plots import scatter
from miabench.reports.plots.axis import Measure
from miabench.reports.plots.scatter import Panel, Point
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.plots.sites import in_experiment_order, sites
from miabench.reports.plots.style import Look, choose_looks
from miabench.reports.plots.ticks import label_decades
from miabench.reports.plots.words import records_of, runs_of

LOG_FROM = 10.0  # the largest cost over the least from which the axis is logarithmic


def draw(summary: Summary, costs: Costs, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A panel per attacker, by dataset and model; nothing where no cost is known.

    Seconds are the processor's, or an accelerator's where one was used: means over runs of all trainings that one
    target needs (teachers and the like included).
    """
    looks = choose_looks(line.cell for line in summary.lines)
    figures = {}
    for site in sites(summary):
        lines = in_experiment_order(summary, [line for line in summary.lines if line.site == site])
        panels = [_panel(lines, who, costs, Measure.of(summary)) for who in summary.attackers]
        if any(panel.points for panel in panels):
            figures[site] = _figure(panels, looks, costs, sheet)
    return figures


def _panel(lines: Sequence[TableRow], attacker: str, costs: Costs, measure: Measure) -> Panel:
    return Panel(f"{attacker} attacker", [*_points(lines, attacker, costs)], measure, better=(-1, -1))


def _points(lines: Sequence[TableRow], attacker: str, costs: Costs) -> Iterator[Point]:
    for line in lines:
        cost, worst = costs.get(line.cell.key), strongest(line, list(line.attacks))
        if line.attacker == attacker and cost is not None and worst is not None:
            y, y_std = scatter.percent(line.attacks[worst.attack])
            assert y is not None
            yield Point(line, cost.paid, y, None, y_std)


def _figure(panels: Sequence[Panel], looks: Mapping[str, Look], costs: Costs, sheet: Sheet) -> Figure:
    figure, every = sheet.open(len(panels))
    points = [point for panel in panels for point in panel.points]
    shown = [point.line for point in points]
    series = scatter.make_series(shown, looks)
    low, high = min(point.x for point in points), max(point.x for point in points)
    y_limits = scatter.y_limits(panels)
    for axes, panel in zip(every, panels, strict=True):
        if low > 0 and high / low > LOG_FROM:
            axes.set(xscale="log", xlim=(low / 1.3, high * 1.3))
            label_decades(axes.xaxis)
        else:
            axes.set(xlim=(0, 1.1 * high))
        axes.set(ylim=y_limits)
        scatter.draw_panel(axes, panel, series)
    name = panels[0].measure.name
    whose = "CPU" if all(costs[line.cell.key].on_cpu for line in shown) else "wall"
    x = f"{whose} seconds of one target's trainings, less is better"
    y = f"{name} of the strongest attack (%), less is better"
    sheet.label(figure, _heading(shown, f"cost against {name} of the strongest attack", costs), x, y)
    sheet.add_legend(figure, [*scatter.legend(series, panels, every[0])])
    return figure


def _heading(lines: Sequence[TableRow], what: str, costs: Costs) -> str:
    cells = [line.cell for line in lines]
    runs = max(line.test.runs for line in lines)
    bars = f"mean and standard deviation over {runs_of(runs)}" if runs > 1 else runs_of(runs)
    text = f"{cells[0].dataset}, {cells[0].model}: {what}\n{bars}\n{records_of(cells)}"
    if len(frozenset().union(*(costs[line.cell.key].measured_with for line in lines))) > 1:
        text += "\ntimes were measured on different devices or with different numbers of threads or workers"
    return text
