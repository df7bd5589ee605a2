"""How a defense looks: the same colour and marker in every figure, and for the built-in ones in every report."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from matplotlib.lines import Line2D

from miabench.reports.numbers.summary import BASELINE
from miabench.reports.plots.words import wrapped

Marker: TypeAlias = str | tuple[int, Literal[1], int]  # as matplotlib names it; a tuple is a star: points, 1, degrees
T = TypeVar("T")


class Look(NamedTuple):
    """A colour, and a marker that tells defenses of one colour apart, in grey too."""

    color: str
    marker: Marker


# Okabe and Ito's palette for all kinds of colour vision, without the yellow, which is lost on white; grey and wine.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#767676", "#882255")
FIXED = {  # no two share a marker; what the paper compares in one figure (Figures 4, 5, 7) shares no colour
    BASELINE: Look("black", "*"),
    "crl": Look("#0072B2", "o"),
    "relaxloss": Look("#D55E00", "s"),
    "imp-relaxloss": Look("#009E73", "^"),
    "relaxed-center-loss": Look("#CC79A7", "D"),
    "label-smoothing": Look("#56B4E9", "v"),
    "confidence-penalty": Look("#E69F00", "P"),
    "early-stopping": Look("#767676", "X"),
    "advreg": Look("#009E73", "<"),
    "dmp": Look("#CC79A7", ">"),
    "dmp-gan": Look("#E69F00", (4, 1, 0)),
    "dp-sgd": Look("#882255", "d"),
    "center-loss": Look("#882255", "p"),
    "memguard": Look("#56B4E9", (8, 1, 0)),
}
MARKERS = tuple(look.marker for name, look in FIXED.items() if name != BASELINE)
LABEL_WIDTH = 30  # characters of a label in a legend before it goes on in the next line


def choose_looks(defenses: Iterable[str]) -> dict[str, Look]:
    """A look for each defense: its own for a built-in one, else one that no other has, of the rarest colour."""
    names = set(defenses)
    looks = {name: look for name, look in FIXED.items() if name in names}
    for name in sorted(names - set(FIXED)):
        looks[name] = _rarest(list(looks.values()), start=zlib.crc32(name.encode()))
    return looks


def handle(label: str, color: str, marker: Marker = "o", *, filled: bool = True) -> Line2D:
    """A marker with its label for a legend."""
    face = color if filled else "white"
    text = wrapped(label, LABEL_WIDTH)
    return Line2D([], [], color=color, marker=marker, markerfacecolor=face, linestyle="", label=text)


def _rarest(used: Sequence[Look], start: int) -> Look:
    """The first look, counted from `start`, that is no other's, then has the rarest colour, then the rarest marker."""
    taken = [*FIXED.values(), *used]
    colors, markers = [look.color for look in used], [look.marker for look in used]
    looks = [Look(color, marker) for color in _turned(COLORS, start) for marker in _turned(MARKERS, start)]
    return min(looks, key=lambda look: (taken.count(look), colors.count(look.color), markers.count(look.marker)))


def _turned(items: Sequence[T], start: int) -> list[T]:
    return [items[(start + i) % len(items)] for i in range(len(items))]
