"""Ticks of a logarithmic axis: few plain numbers, which have room beside each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import NullFormatter

LETTER = 0.07  # inches of a tick's label
BETWEEN = 0.14  # inches that are left free between labels
STEPS = ((1, 2, 5), (1, 3), (1,))  # in each decade, the densest first


def label_decades(axis: Axis) -> None:
    """Name as many of 1, 2, 5, 10, ... as fit between the axis' limits, and nothing between them."""
    low, high = axis.get_view_interval()
    ticks = next(found for found in _choices(low, high) if fit(axis, found))
    axis.set_ticks(ticks, [*map(plain_number, ticks)])
    axis.set_minor_formatter(NullFormatter())


def fit(axis: Axis, ticks: Sequence[float]) -> bool:
    """Whether the labels of the ticks (in order) leave each other room; upright axes have as few as level ones."""
    halves = [LETTER * len(plain_number(tick)) / 2 for tick in ticks]
    ends = [(place - half, place + half) for place, half in zip(inches(axis, ticks), halves, strict=True)]
    return all(end + BETWEEN <= start for (_, end), (start, _) in itertools.pairwise(ends))


def inches(axis: Axis, ticks: Sequence[float]) -> list[float]:
    """Where on a logarithmic axis values are, from its lower end; the layout, still to come, moves little."""
    low, high = axis.get_view_interval()
    box, figure = axis.axes.bbox, axis.axes.get_figure(root=True)
    assert figure is not None, "axes stand in a figure"
    length = (box.width if isinstance(axis, XAxis) else box.height) / figure.dpi
    return [length * math.log(tick / low) / math.log(high / low) for tick in ticks]


def plain_number(value: float) -> str:
    """A number without a power of ten, as far as one reads zeros."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _choices(low: float, high: float) -> Iterator[list[float]]:
    """Ticks between two ends, from many to one: steps in each decade, then each decade, every second, and so on."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps, every in [*((own, 1) for own in STEPS), *(((1,), n) for n in range(2, last - first + 2))]:
        decades = [n for n in range(first, last + 1) if n % every == 0]
        ticks = [step * 10.0**n for n in decades for step in steps]
        if within := [tick for tick in ticks if low <= tick <= high]:
            yield within
    yield []
