"""The trade-off between utility and privacy: test accuracy against the AUC of each attack (Figures 4, 5, 7 and 8)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.reports.numbers.published import ABLATION
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import scatter
from miabench.reports.plots.axis import Measure
from miabench.reports.plots.figure import check_suffix, save
from miabench.reports.plots.scatter import Panel, Point
from miabench.reports.plots.sheet import ABREAST, SCREEN, Sheet
from miabench.reports.plots.sites import in_experiment_order, sites
from miabench.reports.plots.style import Look, choose_looks
from miabench.reports.plots.words import records_of, runs_of
from miabench.results.results import Results


def trade_off(results: Results, path: str | Path) -> list[Path]:
    """Write one figure per dataset and model: a panel per attack, a point per cell, bars of one standard deviation.

    Args:
        results: of an experiment, finished or not; a dataset and model without a finished attack has no figure.
        path: PNG, SVG or PDF by its suffix; with several figures each name also gets the dataset and the model.

    Returns:
        The files that were written.

    Raises:
        UserError: another suffix.
    """
    path = Path(path)
    check_suffix(path)
    return save(draw(summarize(results)), path.with_suffix(""), [path.suffix])


def draw(summary: Summary, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """The trade-off of all cells, by dataset and model."""
    return _figures(summary, summary.lines, "test accuracy", sheet)


def draw_ablation(summary: Summary, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """The trade-off of CRL and of its parts (Figure 7), where there are two of them or more."""
    chosen = [line for line in summary.lines if line.cell.defense in ABLATION or line.is_baseline]
    parts = {site: {line.cell.defense for line in chosen if line.site == site} for site in sites(summary)}
    lines = [line for line in chosen if len(parts[line.site] & {*ABLATION}) > 1]
    return _figures(summary, lines, "the parts of CRL, test accuracy", sheet)


def _figures(summary: Summary, lines: Sequence[TableRow], what: str, sheet: Sheet) -> dict[Site, Figure]:
    looks = choose_looks(line.cell for line in summary.lines)
    figures = {}
    for site in sites(summary):
        own = in_experiment_order(summary, [line for line in lines if line.site == site])
        panels = list(_panels(own, Measure.of(summary))) if own else []
        if any(panel.points for panel in panels):
            figures[site] = _figure(own, panels, looks, what, sheet)
    return figures


def _panels(lines: Sequence[TableRow], measure: Measure) -> Iterator[Panel]:
    attackers = dict.fromkeys(line.attacker for line in lines)
    for attack, attacker in itertools.product(lines[0].attacks, attackers):
        title = f"{attack} ({attacker})" if len(attackers) > 1 else attack
        yield Panel(title, [*_points([line for line in lines if line.attacker == attacker], attack)], measure)


def _points(lines: Sequence[TableRow], attack: str) -> Iterator[Point]:
    for line in lines:
        (x, x_std), (y, y_std) = scatter.percent(line.test), scatter.percent(line.attacks[attack])
        if x is not None and y is not None:
            yield Point(line, x, y, x_std, y_std)


def _figure(
    lines: Sequence[TableRow], panels: Sequence[Panel], looks: Mapping[str, Look], what: str, sheet: Sheet
) -> Figure:
    attackers = len({line.attacker for line in lines})
    figure, every = sheet.open(len(panels), ABREAST // attackers * attackers)  # an attack's are never torn apart
    keys = {point.line.key for panel in panels for point in panel.points}
    shown = [line for line in lines if line.key in keys]
    series = scatter.make_series(shown, looks)
    limits = {"xlim": scatter.accuracy_limits(panels), "ylim": scatter.y_limits(panels)}  # the same in all panels
    for axes, panel in zip(every, panels, strict=True):
        axes.set(**limits)
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=scatter.ROUND_STEPS))
        scatter.draw_panel(axes, panel, series)
    name = panels[0].measure.name
    x, y = "test accuracy (%), more is better", f"{name} of the attack (%), less is better"
    sheet.label(figure, _heading(shown, f"{what} against {name} of each attack"), x, y)
    sheet.add_legend(figure, [*scatter.legend(series, panels, every[0])])
    return figure


def _heading(lines: Sequence[TableRow], what: str) -> str:
    runs = max(line.test.runs for line in lines)
    bars = f"mean and standard deviation over {runs_of(runs)}" if runs > 1 else runs_of(runs)
    cells = [line.cell for line in lines]
    return f"{cells[0].dataset}, {cells[0].model}: {what}\n{bars}\n{records_of(cells)}"
