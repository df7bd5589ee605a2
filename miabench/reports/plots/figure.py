"""How a figure becomes files: laid out once, its labels placed, then written in each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
from matplotlib.figure import Figure

from miabench.errors import UserError
from miabench.reports.numbers.lines import Site
from miabench.reports.plots.labels import place_labels
from miabench.reports.plots.words import slug

Figures: TypeAlias = Mapping[Site, Figure]  # the cells of one dataset and model are in one figure

NO_DATES: Mapping[str, dict[str, Any]] = {  # the same results give the same file
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
SUFFIXES = tuple(NO_DATES)
SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType: publishers refuse PDFs with Type 3 fonts, matplotlib's default
    "svg.hashsalt": "miabench",  # the same names every time
    "svg.fonttype": "none",  # text stays text, which can be edited
}
DPI = 150  # of a PNG, and of what is drawn as an image in the others


def check_suffix(path: Path) -> None:
    """Refuse what cannot be written.

    Raises:
        UserError: the name ends neither in .png nor in .svg nor in .pdf.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write the plot {path}: its name must end in {', '.join(SUFFIXES)}")


def finish(figure: Figure) -> None:
    """Lay the figure out for good, and place its labels where they cover each other least."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the axes stay where they are
    place_labels(figure)


def save(figures: Figures, stem: Path, suffixes: Sequence[str]) -> list[Path]:
    """Write the figures in every format: each is drawn and laid out once, for the first, and saved so in the others.

    Args:
        figures: with several, each name also gets the dataset and the model.
        stem: path without suffix.
        suffixes: some of .png, .svg and .pdf.
    """
    written = []
    for site, figure in figures.items():
        finish(figure)
        name = f"{stem.name}-{slug(site.dataset)}-{slug(site.model)}" if len(figures) > 1 else stem.name
        for suffix in suffixes:
            written.append(stem.with_name(name + suffix))
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            metadata = {"Title": str(figure.get_label()).replace("\n", "; ")} | NO_DATES[suffix.lower()]
            with matplotlib.rc_context(SETTINGS):
                figure.savefig(written[-1], dpi=DPI, metadata=metadata)
    return written
