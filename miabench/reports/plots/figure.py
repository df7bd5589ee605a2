"""A figure of panels side by side, with a heading; and how it becomes a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from miabench.errors import UserError
from miabench.reports.numbers.lines import Site
from miabench.reports.plots.words import slug, wrapped

Figures: TypeAlias = Mapping[Site, Figure]  # the cells of one dataset and model are in one figure

NO_DATES: Mapping[str, dict[str, Any]] = {  # the same results give the same file
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
SUFFIXES = tuple(NO_DATES)
TRUETYPE = 42  # publishers refuse PDFs with Type 3 fonts, matplotlib's default
DPI = 150  # of a PNG, and of what is drawn as an image in the others
PANEL = (3.0, 2.7)  # inches
ABREAST = 3
LARGE_PANEL = (3.6, 3.3)  # where several curves cross
SINGLE_PANEL = (5.2, 3.6)
LEGEND = 2.1  # inches
LETTERS = 11.5  # of the heading to an inch
LINE = 0.19  # inches of the heading


def abreast(attackers: int) -> int:
    """How many panels of one attack and attacker each stand side by side: an attack's are never torn apart."""
    return ABREAST // attackers * attackers


def open_figure(panels: int, most: int = ABREAST, size: tuple[float, float] = PANEL) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, at most so many side by side, and room for a legend at its right."""
    rows = math.ceil(panels / most)
    columns = math.ceil(panels / rows)  # rows as full as can be: four panels are two by two
    width, height = SINGLE_PANEL if panels == 1 else size
    figure = Figure(figsize=(columns * width + LEGEND, rows * height), layout="constrained")
    return figure, [_open_panel(figure, (rows, columns, i + 1)) for i in range(panels)]


def label_figure(figure: Figure, heading: str, x: str, y: str) -> None:
    """Say what the figure shows, and what the axes of all panels are; the figure grows by the heading's lines."""
    text = wrapped(heading, int((figure.get_figwidth() - LEGEND) * LETTERS))
    figure.set_figheight(figure.get_figheight() + LINE * (text.count("\n") + 1))
    figure.suptitle(text, fontsize=10, x=0.02, horizontalalignment="left")
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Right of all panels."""
    figure.legend(handles=list(handles), loc="outside right upper", fontsize=8, frameon=False)


def check_suffix(path: Path) -> None:
    """Refuse what cannot be written.

    Raises:
        UserError: the name ends neither in .png nor in .svg nor in .pdf.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write the plot {path}: its name must end in {', '.join(SUFFIXES)}")


def save(figures: Figures, stem: Path, suffixes: Sequence[str]) -> list[Path]:
    """Write the figures in every format: each is drawn and laid out once, for the first, and saved so in the others.

    Args:
        figures: with several, each name also gets the dataset and the model.
        stem: path without suffix.
        suffixes: some of .png, .svg and .pdf.
    """
    written = []
    for site, figure in figures.items():
        name = f"{stem.name}-{slug(site.dataset)}-{slug(site.model)}" if len(figures) > 1 else stem.name
        for suffix in suffixes:
            written.append(stem.with_name(name + suffix))
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            metadata = {"Title": figure.get_suptitle().replace("\n", "; ")} | NO_DATES[suffix.lower()]
            with matplotlib.rc_context({"svg.hashsalt": "miabench", "pdf.fonttype": TRUETYPE}):
                figure.savefig(written[-1], dpi=DPI, metadata=metadata)
            figure.set_layout_engine("none")  # the axes stay where they are
    return written


def _open_panel(figure: Figure, place: tuple[int, int, int]) -> Axes:
    axes = figure.add_subplot(*place)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
