"""Text in figures: what must be said about the data, in which matplotlib finds no formula, broken between words."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Sequence

from miabench.reports.tables.terminal_layout import plain
from miabench.results.index import Cell


def escaped(text: str) -> str:
    """A text in which matplotlib finds no formula."""
    return plain(text).replace("$", r"\$")


def wrapped(text: str, width: int) -> str:
    """A text in which matplotlib finds no formula, in lines of at most so many characters, where words allow."""
    return "\n".join(map(escaped, broken(text, width).split("\n")))


def broken(text: str, width: int, indent: str = "  ") -> str:
    """A text of lines of at most so many characters; what goes on is indented.

    Names are broken at their hyphens where they are longer than a line, else not at all.
    """
    lines = (
        textwrap.wrap(
            line, width, subsequent_indent=indent, break_on_hyphens=max(map(len, line.split()), default=0) > width
        )
        for line in text.split("\n")
    )
    return "\n".join(itertools.chain.from_iterable(lines))


def slug(label: str) -> str:
    """A label as part of a file's name."""
    return re.sub(r"[^\w.=+-]+", "_", label)


def records_of(cells: Sequence[Cell]) -> str:
    """How many members and non-members the cells have."""
    members, others = (_numbers(cells, part) for part in ("members", "non-members"))
    return f"n = {members} members, {others} non-members"


def runs_of(runs: int) -> str:
    """So many trainings."""
    return f"{runs} trainings" if runs > 1 else "one training"


def mean_over(runs: int) -> str:
    """What a value is, where the spread is not shown."""
    return f"mean over {runs_of(runs)}" if runs > 1 else runs_of(runs)


def _numbers(cells: Sequence[Cell], part: str) -> str:
    counts = sorted({cell.counts[part] for cell in cells if part in cell.counts})
    return " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
