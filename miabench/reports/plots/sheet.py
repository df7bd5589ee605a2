"""Where a figure stands: on a screen, or in one or two columns of a paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from miabench.reports.plots.words import broken, wrapped

Width: TypeAlias = Literal["column", "page"]
WIDTHS: dict[Width, float] = {"column": 3.33, "page": 7.0}  # inches, of papers in two columns (ACM, IEEE, AAAI)
PANEL = (3.0, 2.7)  # inches
ABREAST = 3
LARGE_PANEL = (3.6, 3.3)  # where several curves cross
SINGLE_PANEL = (5.2, 3.6)
LEAST_PANEL = 1.6  # inches: narrower, ticks would run into each other
LEGEND = 2.1  # inches
LEGEND_BELOW: Mapping[str, Any] = {"fontsize": 8, "frameon": False, "borderaxespad": 0.0}
LETTERS = 11.5  # of the heading to an inch
SMALL_LETTERS = 13.0  # of other text
TITLE_LETTERS = 10.5  # of a title above a panel, whose ticks are beside it
LINE = 0.19  # inches of the heading


@dataclass(frozen=True)
class Sheet:
    """How figures are laid out; what they show is the same on all.

    On a screen a figure is as wide as its panels need, the legend is at their right. On paper it has the width of one
    or two columns in letters of the same size, fewer panels stand side by side, and the legend is below them.

    Attributes:
        width: of the paper's column or page; None for a screen.
        titles: whether a heading says what the figure shows: a paper has captions.
    """

    width: Width | None = None
    titles: bool = True

    def abreast(self, panels: int, most: int = ABREAST) -> int:
        """How many panels stand side by side: rows are as full as can be, so that four panels are two by two."""
        if self.width is not None:
            most = max(1, min(most, int(WIDTHS[self.width] / LEAST_PANEL)))
        return math.ceil(panels / math.ceil(panels / most))

    def open(self, panels: int, most: int = ABREAST, size: tuple[float, float] = PANEL) -> tuple[Figure, list[Axes]]:
        """A figure with so many panels, at most so many side by side."""
        columns = self.abreast(panels, most)
        places = [divmod(i, columns) for i in range(panels)]
        return self.open_grid(places, SINGLE_PANEL if panels == 1 else size)

    def open_grid(
        self, places: Sequence[tuple[int, int]], size: tuple[float, float] = PANEL
    ) -> tuple[Figure, list[Axes]]:
        """A figure with a panel at each place, given by its row and column."""
        rows, columns = (max(numbers) + 1 for numbers in zip(*places, strict=True))
        width, height = size
        if self.width is not None:
            width, height = WIDTHS[self.width] / columns, WIDTHS[self.width] / columns * height / width
            height = min(height, size[1])
        elif columns == 1:
            width = max(width, SINGLE_PANEL[0])  # a heading needs it
        figure = Figure(figsize=(columns * width + self._beside, rows * height), layout="constrained")
        return figure, [_open_panel(figure, (rows, columns, row * columns + column + 1)) for row, column in places]

    def label(self, figure: Figure, heading: str, x: str, y: str) -> None:
        """Say what the figure shows and what the axes of all panels are; it grows by the heading's lines.

        What is longer than its place is broken, panels' titles too.
        """
        width = figure.get_figwidth() - self._beside
        for axes in figure.axes:
            columns = grid.ncols if (grid := axes.get_gridspec()) else 1
            axes.set_title(broken(axes.get_title(), int(width / columns * TITLE_LETTERS), ""), fontsize=9)
        figure.supxlabel(wrapped(x, int(width * SMALL_LETTERS)), fontsize=9)
        figure.supylabel(wrapped(y, int(figure.get_figheight() * SMALL_LETTERS)), fontsize=9)
        text = wrapped(heading, int(width * LETTERS))
        figure.set_label(text)
        if self.titles:
            figure.set_figheight(figure.get_figheight() + LINE * (text.count("\n") + 1))
            figure.suptitle(text, fontsize=10, x=0.02, horizontalalignment="left")

    def add_legend(self, figure: Figure, handles: Sequence[Artist]) -> None:
        """Right of all panels on a screen, below them on paper; the figure grows where it needs the room."""
        if self.width is None:
            legend = figure.legend(handles=list(handles), loc="outside right upper", fontsize=8, frameon=False)
            high = legend.get_window_extent().height / figure.dpi
            figure.set_figheight(max(figure.get_figheight(), high + 2 * LINE))
            return
        for columns in range(min(len(handles), 5), 0, -1):
            legend = figure.legend(handles=list(handles), loc="lower center", ncols=columns, **LEGEND_BELOW)
            box = legend.get_window_extent()
            if columns == 1 or box.width <= figure.bbox.width:
                break
            legend.remove()
        legend.set_in_layout(False)
        self._stand_on(figure, box.height / figure.dpi)

    def _stand_on(self, figure: Figure, legend: float) -> None:
        """Leave so many inches below for a legend, and above it those that the label of the axes needs."""
        label = LINE * (figure.get_supxlabel().count("\n") + 1)
        height = figure.get_figheight() + legend + label
        figure.set_figheight(height)
        figure.supxlabel(figure.get_supxlabel(), y=legend / height, verticalalignment="bottom", fontsize=9)
        bottom = (legend + label) / height
        top = 1 - LINE * (str(figure.get_label()).count("\n") + 1) / height if self.titles else 1.0
        figure.supylabel(figure.get_supylabel(), y=(bottom + top) / 2, fontsize=9)  # beside the panels
        figure.set_layout_engine("constrained", rect=(0, bottom, 1, 1 - bottom))

    @property
    def _beside(self) -> float:
        """Inches that the legend takes beside the panels."""
        return LEGEND if self.width is None else 0.0


SCREEN = Sheet()


def _open_panel(figure: Figure, place: tuple[int, int, int]) -> Axes:
    axes = figure.add_subplot(*place)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
