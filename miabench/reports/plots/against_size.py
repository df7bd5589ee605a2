"""What a larger network costs in privacy and brings in accuracy (Tan et al., AISTATS 2023, arXiv:2205.14055)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from miabench.reports.numbers.best import strongest
from miabench.reports.numbers.cost import Costs
from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.reports.numbers.names import with_baseline
from miabench.reports.plots import scatter
from miabench.reports.plots.axis import Measure
from miabench.reports.plots.scatter import Panel, Point
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.plots.style import Look, choose_looks, handle
from miabench.reports.plots.ticks import inches, plain_number
from miabench.reports.plots.words import records_of, runs_of

NEXT_TICK = 0.25  # inches: labels are aslant


def draw(summary: Summary, costs: Costs, sheet: Sheet = SCREEN) -> dict[Site, Figure]:
    """By dataset and kind of model, where networks of several sizes are: the accuracy, and a panel per attacker.

    A curve joins the sizes of a defense in one setting. The number of parameters counts what training sets, a
    defense's own layers too.
    """
    looks = choose_looks(line.cell for line in summary.lines)
    figures = {}
    for site, lines in _by_kind(summary).items():
        points = {who: [*_points(lines, who, costs)] for who in summary.attackers}
        if any(len({point.x for point in own}) > 1 for own in points.values()):
            figures[site] = _figure(site, points, looks, Measure.of(summary), sheet)
    return figures


def _by_kind(summary: Summary) -> Mapping[Site, list[TableRow]]:
    """The lines of each dataset and kind of model, whatever the model's arguments."""
    found: dict[Site, list[TableRow]] = {}
    for line in summary.lines:
        found.setdefault(Site(line.cell.dataset, line.cell.model.split()[0]), []).append(line)
    return found


def _points(lines: Sequence[TableRow], attacker: str, costs: Costs) -> Iterator[Point]:
    """Parameters against the strongest attack, from the smallest network on."""
    sized = [(cost.parameters, line) for line in lines if (cost := costs.get(line.cell.key)) and cost.parameters]
    for size, line in sorted(sized, key=lambda one: one[0]):
        worst = strongest(line, list(line.attacks))
        if line.attacker == attacker and worst is not None:
            y, y_std = scatter.percent(line.attacks[worst.attack])
            assert y is not None
            yield Point(line, size, y, None, y_std)


def _figure(
    site: Site, points: Mapping[str, Sequence[Point]], looks: Mapping[str, Look], measure: Measure, sheet: Sheet
) -> Figure:
    accuracy = Panel("test accuracy, more is better", [*_accuracies(next(iter(points.values())))], measure)
    whose = f"{measure.name} of the strongest attack, less is better"
    panels = [Panel(f"{whose} ({who})" if len(points) > 1 else whose, own, measure) for who, own in points.items()]
    figure, every = sheet.open(1 + len(panels))
    for axes, panel in zip(every, (accuracy, *panels), strict=True):
        _draw_panel(axes, panel, looks)
    for axes in every[1:]:
        axes.set(ylim=scatter.y_limits(panels))
        axes.axhline(measure.guessing, color="0.5", linestyle="--", linewidth=0.8, zorder=0.5)
    lines = [point.line for panel in panels for point in panel.points]
    sheet.label(figure, _heading(site, lines), "parameters of the network (scale: logarithmic)", "percent")
    sheet.add_legend(figure, [*_legend(lines, looks, measure)])
    return figure


def _accuracies(points: Sequence[Point]) -> Iterator[Point]:
    for point in points:
        y, y_std = scatter.percent(point.line.test)
        assert y is not None, "who was attacked has answered"
        yield point._replace(y=y, y_std=y_std)


def _draw_panel(axes: Axes, panel: Panel, looks: Mapping[str, Look]) -> None:
    axes.set(xscale="log")
    axes.set_title(panel.title, fontsize=9)
    labels = dict.fromkeys(point.line.cell.label for point in panel.points)
    settings = [label.split()[0] for label in labels]
    for label in labels:
        own = [point for point in panel.points if point.line.cell.label == label]
        cell = own[-1].line.cell
        look = looks[cell.defense]
        bars = None if all(point.y_std is None for point in own) else [point.y_std or 0.0 for point in own]
        axes.errorbar(
            [point.x for point in own],
            [point.y for point in own],
            yerr=bars,
            color=look.color,
            marker=look.marker,
            markersize=10 if look.marker == "*" else 6,
            linewidth=1,
            elinewidth=0.8,
            capsize=2,
        )
        if settings.count(cell.defense) > 1:
            scatter.tag(axes, own[-1], label.removeprefix(cell.defense).strip() or "default", look.color)
    sizes = [*_apart(axes.xaxis, sorted({point.x for point in panel.points}))]
    axes.set_xticks(sizes, [*map(plain_number, sizes)], rotation=30, horizontalalignment="right")
    axes.minorticks_off()


def _apart(axis: Axis, sizes: Sequence[float]) -> Iterator[float]:
    """Those that leave room for their labels, from the smallest on."""
    last = -NEXT_TICK
    for size, place in zip(sizes, inches(axis, sizes), strict=True):
        if place >= last + NEXT_TICK:
            yield size
            last = place


def _legend(lines: Sequence[TableRow], looks: Mapping[str, Look], measure: Measure) -> Iterator[Line2D]:
    for defense, line in {line.cell.defense: line for line in lines}.items():
        yield handle(with_baseline(defense, line.cell), *looks[defense])
    yield Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label=f"guessing ({measure.guessing:g}%)")


def _heading(site: Site, lines: Sequence[TableRow]) -> str:
    runs = max(line.test.runs for line in lines)
    bars = f"mean and standard deviation over {runs_of(runs)}" if runs > 1 else runs_of(runs)
    return f"{site.dataset}, {site.model}: size of the network\n{bars}\n{records_of([line.cell for line in lines])}"
