"""The answer in one figure: test accuracy against the strongest attack of each level of access, with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from miabench.metrics.names import GUESSING, TITLES
from miabench.reports.numbers.evidence import Judgement
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.reports.plots import scatter
from miabench.reports.plots.axis import Measure
from miabench.reports.plots.scatter import Panel, Point
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.plots.sites import in_experiment_order, sites
from miabench.reports.plots.style import Look, choose_looks
from miabench.reports.plots.words import records_of, runs_of


def draw(summary: Summary, judged: Judgement, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """A row per level of access and attacker, a column per metric, by dataset and model."""
    looks = choose_looks(line.cell for line in summary.lines)
    figures = {}
    for site in sites(summary):
        own = in_experiment_order(summary, [line for line in summary.lines if line.site == site])
        columns = dict.fromkeys(column for line in own for column in judged.lines[line.key].worst)
        metrics = list(dict.fromkeys(column.metric for column in columns))
        panels = [*_panels(summary, judged, own, metrics)]
        if panels:
            figures[site] = _figure(panels, len(metrics), looks, sheet)
    return figures


def _panels(summary: Summary, judged: Judgement, lines: Sequence[TableRow], metrics: Sequence[str]) -> Iterator[Panel]:
    for level in levels(summary.index):
        for attacker in summary.attackers:
            for metric in metrics:
                own = [line for line in lines if line.attacker == attacker]
                column = Column(level, metric)
                who = f"{level} attacks{_among(judged, own, column)}"
                who += f" ({attacker})" if len(summary.attackers) > 1 else ""
                measure = Measure(TITLES[metric], 100 * GUESSING[metric])
                yield Panel(f"{who}, {TITLES[metric]}", [*_points(judged, own, column)], measure)


def _among(judged: Judgement, lines: Sequence[TableRow], column: Column) -> str:
    """Of how many attacks the worst cases are, where not all of the level were measured for every line."""
    cases = [worst for line in lines if (worst := judged.lines[line.key].worst.get(column))]
    counts = dict.fromkeys(worst.among for worst in cases)
    return f" ({' or '.join(counts)})" if any(worst.missing for worst in cases) else ""


def _points(judged: Judgement, lines: Sequence[TableRow], column: Column) -> Iterator[Point]:
    for line in lines:
        x, x_std = scatter.percent(line.test)
        worst = judged.lines[line.key].worst.get(column)
        if x is not None and worst is not None:
            value, low, high = (100 * one for one in worst.case[:3])
            yield Point(line, x, value, x_std, (value - low, high - value))


def _figure(panels: Sequence[Panel], metrics: int, looks: Mapping[str, Look], sheet: Sheet) -> Figure:
    figure, every = sheet.open(len(panels), metrics)
    shown = list({point.line.key: point.line for panel in panels for point in panel.points}.values())
    series = scatter.make_series(shown, looks)
    for i, (axes, panel) in enumerate(zip(every, panels, strict=True)):
        alike = [one for one in panels[i % metrics :: metrics] if one.points]  # the same scale for one metric
        axes.set(xlim=scatter.accuracy_limits(panels), ylim=scatter.y_limits(alike) if alike else (0, 100))
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=scatter.ROUND_STEPS))
        scatter.draw_panel(axes, panel, series)
    runs = max(line.test.runs for line in shown)
    cells = [line.cell for line in shown]
    heading = (
        f"{cells[0].dataset}, {cells[0].model}: test accuracy against the strongest attack\n"
        f"{runs_of(runs)}; bars: 95% interval of the attack, standard deviation of the accuracy\n{records_of(cells)}"
    )
    sheet.label(figure, heading, "test accuracy (%), more is better", "strongest attack (%), less is better")
    sheet.add_legend(figure, [*scatter.legend(series, panels, every[0])])
    return figure
