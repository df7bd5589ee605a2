"""Where the labels of points stand: beside their point, in the axes, and on no other label or marker if that can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

MARKER = 3.5  # points around a marker's centre that a label leaves free
DISTANCES = (5.0, 9.0, 14.0, 20.0)  # points from a point to its label
SIDES = ((1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1), (1, 0), (-1, 0))  # to which side, the first that is free


def place_labels(figure: Figure) -> None:
    """Move each label to the first place around its point where it covers least; the same figure, the same places.

    Args:
        figure: laid out, so that its axes stay where they are.
    """
    for axes in figure.axes:
        taken = [*_markers(axes, figure.dpi)]
        for label in axes.texts:
            if isinstance(label, Annotation):
                taken.append(_place(label, taken, axes.get_window_extent()))


def _place(label: Annotation, taken: Sequence[Bbox], inside: Bbox) -> Bbox:
    """Where the label stands now."""

    def covered(place: tuple[float, tuple[int, int]]) -> float:
        box = _move(label, *place)
        outside = box.width * box.height - _common(box, inside)
        return outside + sum(_common(box, other) for other in taken)

    best = min(itertools.product(DISTANCES, SIDES), key=covered)
    return _move(label, *best)


def _move(label: Annotation, distance: float, side: tuple[int, int]) -> Bbox:
    x, y = side
    label.set(
        position=(distance * x, distance * y),
        horizontalalignment=("right", "center", "left")[x + 1],
        verticalalignment=("top", "center", "bottom")[y + 1],
    )
    return label.get_window_extent()


def _common(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share, in pixels."""
    shared = Bbox.intersection(one, other)
    return 0.0 if shared is None else shared.width * shared.height


def _markers(axes: Axes, dpi: float) -> Iterator[Bbox]:
    around = MARKER * dpi / 72
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            for x, y in axes.transData.transform(container.lines[0].get_xydata()):
                yield Bbox([[x - around, y - around], [x + around, y + around]])
