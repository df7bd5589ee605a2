"""A matrix as shades with its numbers, legible on each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from miabench.metrics.estimates import Floats

CELL = (0.72, 0.26)  # inches
LETTER = 0.075  # inches, at 8 points
EQUAL_CONTRAST = 0.179  # luminance at which white and black are equally legible


def numbered(
    axes: Axes,
    values: Floats,
    words: Sequence[Sequence[str]],
    limits: tuple[float, float],
    form: str,
    letters: float,
) -> AxesImage:
    """Draw a matrix.

    Args:
        axes: empty; without spines and marks of ticks afterwards.
        values: (rows, columns); NaN where a word stands instead.
        words: of the same shape.
        limits: what is white, and what is darkest.
        form: of a number.
        letters: their size in points.
    """
    image = axes.imshow(values, cmap="Blues", vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.tick_params(length=0, labelsize=letters)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        known = not np.isnan(value)
        text = form.format(value) if known else words[row][column]
        color = _legible([*image.to_rgba(np.array([value]))[0, :3]]) if known else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=letters, color=color)
    return image


def _legible(shade: Sequence[float]) -> str:
    """White or black, whichever has the higher contrast with a shade (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shade]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    return "black" if luminance > EQUAL_CONTRAST else "white"
