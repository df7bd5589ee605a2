"""The trade-off between utility and privacy as figures: test accuracy against the AUC of each attack."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from miabench.errors import UserError
from miabench.report.layout import plain
from miabench.report.summary import BASELINE, Line, Summary, summarize
from miabench.results import Results

SUFFIXES = (".png", ".svg", ".pdf")
DPI = 150  # of a PNG
# Okabe and Ito's palette for all kinds of colour vision, without the yellow, which is lost on white; ce is black.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ALWAYS = ("crl", "relaxloss")  # the paper's comparison looks the same whatever else an experiment holds
PANELS_ABREAST = 3
PANEL = (3.0, 2.7)  # inches
LEAST_WIDTH = 4.4  # inches of the panels together, for the heading
LEGEND = 2.1  # inches
LETTERS = 12  # of the heading to an inch
LABEL_WIDTH = 30  # characters of a label in the legend before it goes on in the next line
LEAST_SPAN = 5.0  # points: a narrower axis would make noise look like a difference
GUESSING = 50.0  # AUC in percent
COUNTED = ("members", "non-members")


class Look(NamedTuple):
    """How a defense looks in every panel and figure of a report."""

    color: str
    marker: str


class Series(NamedTuple):
    """The cells of one defense in one figure.

    Attributes:
        legend: what the legend says.
        tags: by the cell's label, what stands beside its points: the value of the one hyper-parameter that varies,
            or a number that the legend explains where several do; nothing for a defense with one cell.
        curve: whether the cells are a grid over one hyper-parameter: joined in the experiment's order.
    """

    defense: str
    look: Look
    legend: str
    tags: Mapping[str, str]
    curve: bool


class Point(NamedTuple):
    """One cell in one panel, in percent; a spread is None for one run."""

    line: Line
    x: float
    y: float
    x_std: float | None
    y_std: float | None


class Panel(NamedTuple):
    """One attack by one attacker, on the cells that have both numbers."""

    title: str
    points: list[Point]


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
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write the plot {path}: its name must end in {', '.join(SUFFIXES)}")
    figures = draw(summarize(results))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for (dataset, model), figure in figures.items():
        name = f"{path.stem}-{_slug(dataset)}-{_slug(model)}" if len(figures) > 1 else path.stem
        written.append(path.with_stem(name))
        figure.savefig(written[-1], dpi=DPI)
    return written


def draw(summary: Summary) -> dict[tuple[str, str], Figure]:
    """The figures, by dataset and model."""
    looks = choose_looks(line.cell.defense for line in summary.lines)
    figures = {}
    for site in dict.fromkeys(line.place[:2] for line in summary.lines):
        lines = [line for line in summary.lines if line.place[:2] == site]
        panels = list(_panels(lines))
        if any(panel.points for panel in panels):
            figures[site] = _figure(lines, panels, looks)
    return figures


def choose_looks(defenses: Iterable[str]) -> dict[str, Look]:
    """A colour and a marker for each defense, by its name: different ones as long as there are any."""
    looks = {BASELINE: Look("black", "*")}
    looks |= {name: Look(COLORS[i], MARKERS[i]) for i, name in enumerate(ALWAYS)}
    for name in sorted(set(defenses) - set(looks)):
        looks[name] = _least_used(list(looks.values()), start=zlib.crc32(name.encode()))
    return looks


def _least_used(used: Sequence[Look], start: int) -> Look:
    """The first look, counted from `start`, that is new, then of the rarest colour, then of the rarest marker."""
    colors, markers = [look.color for look in used], [look.marker for look in used]
    looks = [Look(color, marker) for color in _turned(COLORS, start) for marker in _turned(MARKERS, start)]
    return min(looks, key=lambda look: (used.count(look), colors.count(look.color), markers.count(look.marker)))


def _turned(items: Sequence[str], start: int) -> list[str]:
    return [items[(start + i) % len(items)] for i in range(len(items))]


# --- what is shown ---


def _panels(lines: Sequence[Line]) -> Iterator[Panel]:
    attackers = dict.fromkeys(line.attacker for line in lines)
    for attack, attacker in itertools.product(lines[0].attacks, attackers):
        title = f"{attack} ({attacker})" if len(attackers) > 1 else attack
        yield Panel(title, [*_points([line for line in lines if line.attacker == attacker], attack)])


def _points(lines: Sequence[Line], attack: str) -> Iterator[Point]:
    for line in lines:
        x, y = line.test, line.attacks[attack]
        if x.mean is not None and y.mean is not None:
            spreads = [None if value.std is None else 100 * value.std for value in (x, y)]
            yield Point(line, 100 * x.mean, 100 * y.mean, *spreads)


def _series(defense: str, lines: Iterable[Line], look: Look) -> Series:
    cells = {line.cell.label: line.cell.params for line in lines if line.cell.defense == defense}
    varying = _varying(list(cells.values()))
    label = f"{defense} (no defense)" if defense == BASELINE else defense
    if len(varying) < 2:
        tags = {cell: str(params.get(name, "default")) for name in varying for cell, params in cells.items()}
        return Series(defense, look, ", by ".join([label, *varying]), tags, curve=bool(varying))
    tags = {cell: str(i) for i, cell in enumerate(cells, 1)}
    settings = (f"{tags[cell]}: {cell.removeprefix(defense).strip() or 'default'}" for cell in cells)
    return Series(defense, look, "\n".join([label, *settings]), tags, curve=False)


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Hyper-parameters in which cells of one defense differ."""
    names = dict.fromkeys(name for params in settings for name in params)
    return [name for name in names if any(params.get(name) != settings[0].get(name) for params in settings)]


# --- how it is drawn ---


def _figure(lines: Sequence[Line], panels: Sequence[Panel], looks: Mapping[str, Look]) -> Figure:
    attackers = len({line.attacker for line in lines})
    columns = min(len(panels), PANELS_ABREAST // attackers * attackers)
    rows = math.ceil(len(panels) / columns)
    width = max(columns * PANEL[0], LEAST_WIDTH)
    figure = Figure(figsize=(width + LEGEND, rows * PANEL[1] + 0.6), layout="constrained")
    x_limits, y_limits = _limits(panels)
    keys = {point.line.key for panel in panels for point in panel.points}
    shown = [line for line in lines if line.key in keys]
    series = [_series(name, shown, looks[name]) for name in dict.fromkeys(line.cell.defense for line in shown)]
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1, xlim=x_limits, ylim=y_limits)
        axes.set_title(_text(panel.title), fontsize=9)
        _draw_panel(axes, panel, series)
    figure.suptitle(_wrapped(_heading(lines), int(width * LETTERS)), fontsize=10, x=0.02, horizontalalignment="left")
    figure.supxlabel("test accuracy (%), more is better", fontsize=9)
    figure.supylabel("AUC of the attack (%), less is better", fontsize=9)
    handles = [*_legend(series, shown, guessing=y_limits[0] <= GUESSING)]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _draw_panel(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(GUESSING, color="0.5", linestyle="--", linewidth=0.8, zorder=0)
    _draw_reference(axes, panel.points)
    for one in series:
        _draw_series(axes, [point for point in panel.points if point.line.cell.defense == one.defense], one)
    if not panel.points:
        axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, ha="center", color="0.5")


def _draw_reference(axes: Axes, points: Sequence[Point]) -> None:
    """Thin lines through the undefended cell: defenses should stay right of it and go below it."""
    for point in points:
        if point.line.undefended:
            axes.axvline(point.x, color="0.75", linewidth=0.6, zorder=0)
            axes.axhline(point.y, color="0.75", linewidth=0.6, zorder=0)


def _draw_series(axes: Axes, points: Sequence[Point], series: Series) -> None:
    color, marker = series.look
    if series.curve:
        axes.plot([p.x for p in points], [p.y for p in points], color=color, linewidth=1, alpha=0.6, zorder=1)
    for point in points:
        axes.errorbar(
            point.x,
            point.y,
            xerr=point.x_std,
            yerr=point.y_std,
            fmt=marker,
            color=color,
            markersize=9 if marker == "*" else 5,
            markerfacecolor="white" if point.line.collapsed else color,
            elinewidth=0.8,
            capsize=2,
        )
        if tag := series.tags.get(point.line.cell.label):
            at = (point.x, point.y)
            axes.annotate(_text(tag), at, xytext=(5, -9), textcoords="offset points", fontsize=7, color=color)


def _legend(series: Sequence[Series], lines: Sequence[Line], *, guessing: bool) -> Iterator[Line2D]:
    for one in series:
        yield _handle(one.legend, *one.look, filled=True)
    if any(line.collapsed for line in lines):
        yield _handle("collapsed (any defense)", "0.4", "o", filled=False)
    if guessing:
        yield Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label="guessing (AUC 50%)")


def _handle(label: str, color: str, marker: str, *, filled: bool) -> Line2D:
    face = color if filled else "white"
    label = _wrapped(label, LABEL_WIDTH)
    return Line2D([], [], color=color, marker=marker, markerfacecolor=face, linestyle="", label=label)


def _limits(panels: Sequence[Panel]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The same axes for all panels, around all points with their bars; down to guessing unless that is far off."""
    points = [point for panel in panels for point in panel.points]
    x_ends = [end for p in points for end in (p.x - (p.x_std or 0), p.x + (p.x_std or 0))]
    y_ends = [end for p in points for end in (p.y - (p.y_std or 0), p.y + (p.y_std or 0))]
    if min(y_ends) - GUESSING < max(max(y_ends) - min(y_ends), LEAST_SPAN):
        y_ends.append(GUESSING)
    return _around(x_ends), _around(y_ends)


def _around(ends: Sequence[float]) -> tuple[float, float]:
    low, high = min(ends), max(ends)
    margin = max(0.08 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - margin, high + margin


def _heading(lines: Sequence[Line]) -> str:
    cell, runs = lines[0].cell, max(line.test.runs for line in lines)
    members, others = (sorted({line.cell.counts[name] for line in lines if line.cell.counts}) for name in COUNTED)
    bars = f"mean and standard deviation over {runs} trainings" if runs > 1 else "one training"
    n = f"n = {_range(members)} members, {_range(others)} non-members"
    return f"{cell.dataset}, {cell.model}: test accuracy against attack AUC\n{bars}\n{n}"


def _range(counts: Sequence[int]) -> str:
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _text(text: str) -> str:
    """A text in which matplotlib finds no formula."""
    return plain(text).replace("$", r"\$")


def _wrapped(text: str, width: int) -> str:
    """A text of lines that are broken between words."""
    lines = (textwrap.wrap(line, width, subsequent_indent="  ", break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(_text(line) for line in itertools.chain.from_iterable(lines))


def _slug(label: str) -> str:
    return re.sub(r"[^\w.=+-]+", "_", label)
