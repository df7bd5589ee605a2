"""How a defense looks: the same colour and marker in every figure, and for the built-in ones in every report."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from matplotlib.lines import Line2D

from miabench.reports.plots.words import wrapped
from miabench.results.index import Cell

Marker: TypeAlias = str | tuple[int, Literal[1], int]  # as matplotlib names it; a tuple is a star: points, 1, degrees
T = TypeVar("T")


class Look(NamedTuple):
    """A colour, and a marker that tells defenses of one colour apart, in grey too."""

    color: str
    marker: Marker


# Of plugins. With those of built-in defenses and black, any two are 12 or more apart in CIELAB, for usual vision and
# for the three kinds of colour blindness; the first nine of looks.json, which are compared most, differ in grey too.
PLUGINS = ("#964B5A", "#5A0F4B", "#3C0F78", "#2DA55A", "#FF690F", "#785AFF", "#A50F69", "#87002D")
BASELINE = Look("black", "*")
# Of built-in defenses, what is compared most first: no two share a colour or a marker.
LOOKS = Path(__file__).with_name("looks.json")
LABEL_WIDTH = 30  # characters of a label in a legend before it goes on in the next line


def choose_looks(cells: Iterable[Cell]) -> dict[str, Look]:
    """A look for each defense: its own for a built-in one, else one of the rarest colour, in this order."""
    names = {cell.defense: cell.is_baseline for cell in cells}
    looks = {name: BASELINE for name, is_baseline in names.items() if is_baseline}
    looks |= {name: look for name, look in fixed_looks().items() if name in names}
    for name in sorted(names.keys() - looks.keys()):
        looks[name] = _rarest(list(looks.values()), start=zlib.crc32(name.encode()))
    return looks


@cache
def fixed_looks() -> Mapping[str, Look]:
    """The looks of built-in defenses but the baseline, by name."""
    looks = json.loads(LOOKS.read_text(encoding="utf-8"))
    return {name: Look(color, _marker(marker)) for name, (color, marker) in looks.items()}


def _marker(marker: str | Sequence[int]) -> Marker:
    """A marker as JSON writes it: a name, or a star's points, 1, and degrees."""
    return marker if isinstance(marker, str) else (marker[0], 1, marker[2])


def handle(label: str, color: str, marker: Marker = "o", *, filled: bool = True) -> Line2D:
    """A marker with its label for a legend."""
    face = color if filled else "white"
    text = wrapped(label, LABEL_WIDTH)
    return Line2D([], [], color=color, marker=marker, markerfacecolor=face, linestyle="", label=text)


def _rarest(used: Sequence[Look], start: int) -> Look:
    """The first look, counted from `start`, that is no other's, then has the rarest colour, then the rarest marker."""
    fixed = fixed_looks().values()
    taken, markers_of_fixed = [*fixed, *used], [look.marker for look in fixed]
    colors, markers = [look.color for look in used], [look.marker for look in used]
    palette = [*_turned(PLUGINS, start), *(look.color for look in fixed)]
    looks = [Look(color, marker) for color in palette for marker in _turned(markers_of_fixed, start)]
    return min(looks, key=lambda look: (taken.count(look), colors.count(look.color), markers.count(look.marker)))


def _turned(items: Sequence[T], start: int) -> list[T]:
    return [items[(start + i) % len(items)] for i in range(len(items))]
