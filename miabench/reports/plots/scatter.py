"""Panels of points, one per cell, with bars over runs; the settings of a defense joined; what is beaten shaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from miabench.metrics.dominance import MORE_AND_LESS, pareto_front
from miabench.metrics.estimates import Floats
from miabench.reports.numbers.lines import RunStats, TableRow
from miabench.reports.numbers.names import with_baseline
from miabench.reports.plots.axis import Measure
from miabench.reports.plots.style import Look, handle
from miabench.reports.plots.words import escaped

LEAST_SPAN = 5.0  # points: a narrower axis would make noise look like a difference
NEAR = 0.7  # of the span of the values: guessing is in view if it is so near the least
MOST_TAGS = 12  # settings of one defense that are named; more would cover each other
SHADE = "0.94"
ROUND_STEPS = [1, 2, 5, 10]  # between ticks


Spread: TypeAlias = float | tuple[float, float] | None


class Series(NamedTuple):
    """The cells of one defense in one figure.

    Attributes:
        legend: what the legend says.
        tags: by the cell's label, what stands beside its points: the value of the one hyper-parameter that varies,
            or a number that the legend explains where several do; nothing for a defense with one cell.
        curves: labels of cells that are joined, in the experiment's order: a grid over one hyper-parameter, or over
            two, where each value of the first has a curve unless the two change together.
    """

    defense: str
    look: Look
    legend: str
    tags: Mapping[str, str]
    curves: Sequence[Sequence[str]] = ()


class Point(NamedTuple):
    """One cell in one panel; a spread is None for one run, two numbers where the bar below and above differ."""

    line: TableRow
    x: float
    y: float
    x_std: Spread
    y_std: Spread


class Panel(NamedTuple):
    """Points of one measure, and on which side of each axis is better: 1 where more is, -1 where less is."""

    title: str
    points: Sequence[Point]
    measure: Measure
    better: tuple[int, int] = MORE_AND_LESS


def percent(value: RunStats) -> tuple[float | None, float | None]:
    """Mean and standard deviation in percent."""
    mean, std = value.mean, value.std
    return None if mean is None else 100 * mean, None if std is None else 100 * std


def make_series(lines: Sequence[TableRow], looks: Mapping[str, Look]) -> list[Series]:
    """One series per defense, in the order of the lines."""
    return [_series(name, lines, looks[name]) for name in dict.fromkeys(line.cell.defense for line in lines)]


def draw_panel(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    """Draw the points of all series; the axes' limits must be set."""
    axes.set_title(escaped(panel.title), fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator("auto", steps=ROUND_STEPS))
    axes.axhline(panel.measure.guessing, color="0.5", linestyle="--", linewidth=0.8, zorder=0.5)
    _shade(axes, panel)
    _draw_reference(axes, panel.points)
    for one in series:
        _draw_series(axes, [point for point in panel.points if point.line.cell.defense == one.defense], one)
    if not panel.points:
        axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, ha="center", color="0.5")


def tag(axes: Axes, point: Point, setting: str, color: str) -> None:
    """The setting beside its point, legible over lines and shades."""
    text = axes.annotate(escaped(setting), (point.x, point.y), xytext=(5, -5), textcoords="offset points", fontsize=7)
    text.set(color=color, path_effects=[withStroke(linewidth=2, foreground="white")], in_layout=False)


def legend(series: Sequence[Series], panels: Sequence[Panel], axes: Axes) -> Iterator[Line2D | Patch]:
    """A handle for all that is drawn; guessing only if these axes have it in view."""
    for one in series:
        yield handle(one.legend, *one.look)
    collapsed = {bool(point.line.collapsed) for panel in panels for point in panel.points}
    if True in collapsed:
        yield handle("collapsed (any defense)", "0.4", filled=False)
    guessing = panels[0].measure.guessing
    if axes.get_ylim()[0] <= guessing:
        alike = all(panel.measure.guessing == guessing for panel in panels)
        label = f"guessing ({guessing:g}%)" if alike else "guessing"
        yield Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label=label)
    if False in collapsed:
        yield Patch(facecolor=SHADE, edgecolor="0.7", label="beaten in both (edge:\nPareto front of the means)")


def y_limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """Around all values with their bars; down to guessing unless that is far off."""
    ends = _ends((point.y, point.y_std) for panel in panels for point in panel.points)
    guessing = panels[0].measure.guessing
    if min(ends) - guessing < NEAR * max(max(ends) - min(ends), LEAST_SPAN):
        ends.append(guessing)
    return _around(ends)


def accuracy_limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """Around all accuracies with their bars."""
    return _around(_ends((point.x, point.x_std) for panel in panels for point in panel.points))


def _short(value: object) -> str:
    """A number as long as a plot has room for."""
    return str(value) if not isinstance(value, float) or len(str(value)) <= 6 else f"{value:.3g}"


def _series(defense: str, lines: Sequence[TableRow], look: Look) -> Series:
    cells = {line.cell.label: line.cell.params for line in lines if line.cell.defense == defense}
    varying = _varying(list(cells.values()))
    label = next(with_baseline(defense, line.cell) for line in lines if line.cell.defense == defense)
    curves = _curves(cells, varying)
    if len(cells) > MOST_TAGS:
        return Series(defense, look, f"{label}, {len(cells)} settings of {', '.join(varying)}", {}, curves)
    if len(varying) < 2:
        tags = {cell: _short(params.get(name, "default")) for name in varying for cell, params in cells.items()}
        return Series(defense, look, ", by ".join([label, *varying]), tags, curves)
    tags = {cell: str(i) for i, cell in enumerate(cells, 1)}
    settings = (f"{tags[cell]}: {cell.removeprefix(defense).strip() or 'default'}" for cell in cells)
    return Series(defense, look, "\n".join([label, *settings]), tags, curves)


def _curves(cells: Mapping[str, Mapping[str, Any]], varying: Sequence[str]) -> list[list[str]]:
    """Which cells of one defense are joined: see `Series`."""
    if len(varying) not in (1, 2):
        return []
    values = [str(params.get(varying[0])) for params in cells.values()]
    if len(varying) == 1 or len(set(values)) == len(values):
        return [[*cells]]
    return [[cell for cell, own in zip(cells, values, strict=True) if own == value] for value in dict.fromkeys(values)]


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Hyper-parameters in which cells of one defense differ."""
    names = dict.fromkeys(name for params in settings for name in params)
    return [name for name in names if any(params.get(name) != settings[0].get(name) for params in settings)]


def _shade(axes: Axes, panel: Panel) -> None:
    """What some point beats in both quantities; the edge is the front, of which no collapsed one is part."""
    points = [(point.x, point.y) for point in panel.points if not point.line.collapsed]
    if not points:
        return
    front = sorted(points[i] for i in pareto_front(points, panel.better))
    (low, high), worst = axes.get_xlim(), axes.get_ylim()[panel.better[1] < 0]
    xs, ys = zip(*front, strict=True)
    if panel.better[0] > 0:  # each point beats what is left of it
        steps = axes.fill_between([low, *xs], [ys[0], *ys], worst, step="pre", zorder=0)
    else:
        steps = axes.fill_between([*xs, high], [*ys, ys[-1]], worst, step="post", zorder=0)
    steps.set(facecolor=SHADE, edgecolor="0.7", linewidth=0.8)


def _draw_reference(axes: Axes, points: Sequence[Point]) -> None:
    """Thin lines through the baseline: the trade-off of no defense."""
    for point in points:
        if point.line.is_baseline:
            axes.axvline(point.x, color="0.6", linewidth=0.6, linestyle=":", zorder=0.5)
            axes.axhline(point.y, color="0.6", linewidth=0.6, linestyle=":", zorder=0.5)


def _draw_series(axes: Axes, points: Sequence[Point], series: Series) -> None:
    for curve in series.curves:
        own = [point for point in points if point.line.cell.label in curve]
        xs, ys = [point.x for point in own], [point.y for point in own]
        axes.plot(xs, ys, color=series.look.color, linewidth=1, alpha=0.6, zorder=1)
    for collapsed in (False, True):
        alike = [point for point in points if bool(point.line.collapsed) == collapsed]
        if alike:
            _draw_points(axes, alike, series.look, filled=not collapsed)
    for point in points:
        if text := series.tags.get(point.line.cell.label):
            tag(axes, point, text, series.look.color)


def _draw_points(axes: Axes, points: Sequence[Point], look: Look, *, filled: bool) -> None:
    """All at once: a thousand cells are drawn in seconds."""
    axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        xerr=_bars([(point.x, point.x_std) for point in points]),
        yerr=_bars([(point.y, point.y_std) for point in points]),
        linestyle="",
        marker=look.marker,
        color=look.color,
        markersize=12 if look.marker == "*" else 6,
        markerfacecolor=look.color if filled else "white",
        markeredgecolor="white" if filled else look.color,  # an edge between markers that cover each other
        markeredgewidth=0.4 if filled else 1.0,
        ecolor=look.color,
        elinewidth=0.8,
        capsize=2,
        capthick=0.8,
        clip_on=False,  # markers at the ends of the axes are whole
    )


def _sides(value: float, spread: Spread) -> tuple[float, float]:
    """The bar below and above, which ends where percent do; not a number without one."""
    if spread is None:
        return np.nan, np.nan
    below, above = spread if isinstance(spread, tuple) else (spread, spread)
    return min(below, value), min(above, 100 - value)


def _bars(values: Sequence[tuple[float, Spread]]) -> Floats | None:
    """Below and above (2, N), or None where no point has a bar."""
    known = np.array([_sides(value, spread) for value, spread in values]).T
    return None if np.isnan(known).all() else known


def _ends(values: Iterable[tuple[float, Spread]]) -> list[float]:
    ends = ((value, np.nan_to_num(_sides(value, spread))) for value, spread in values)
    return [float(end) for value, (below, above) in ends for end in (value - below, value + above)]


def _around(ends: Sequence[float]) -> tuple[float, float]:
    """Limits with a margin, from 0 to 100 at most: percent do not go further."""
    low, high = min(ends), max(ends)
    margin = max(0.08 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    low, high = max(low - margin, 0.0), min(high + margin, 100.0)
    return max(0.0, min(low, high - LEAST_SPAN)), min(100.0, max(high, low + LEAST_SPAN))
