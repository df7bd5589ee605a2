"""Tables that fit a width without cutting a number.

A table that is too wide first puts the parts of each item below each other, then breaks long names earlier, then
becomes several tables that repeat the columns of names. All text is printed as it is: nothing is read as markup.
"""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 120  # columns where there is no terminal to ask
GAP = 2  # blank columns between columns


class Form(NamedTuple):
    """How a table is made to fit.

    Attributes:
        stacked: whether the parts of an item stand below each other.
        name_width: columns of a name before it goes on in the next line.
        below_width: columns of what stands below, likewise.
    """

    stacked: bool
    name_width: int
    below_width: int


FORMS = (
    Form(False, 26, 32),
    Form(True, 26, 20),
    Form(True, 16, 20),
)  # the first that fits; else several tables of the last


class Item(NamedTuple):
    """What stands in one place of a table.

    Attributes:
        parts: printed side by side, or one below the other.
        style: of all of it, as rich names it.
        below: printed below the parts in every form.
    """

    parts: tuple[str, ...]
    style: str = ""
    below: str = ""


class Column(NamedTuple):
    """A column before its width is settled; a column of names goes into every table and is aligned left."""

    header: str
    items: Sequence[Item]
    names: bool = False

    def width(self, form: Form) -> int:
        """Columns of text that it takes; a header has two lines at most where its words allow."""
        bodies = [cell_len(line) for item in self.items for line in self.text(item, form).split("\n")]
        words = self.header.split()
        halves = ((" ".join(words[:i]), " ".join(words[i:])) for i in range(len(words)))
        return max(*bodies, min(max(map(cell_len, half)) for half in halves))

    def text(self, item: Item, form: Form) -> str:
        """An item as text of one line or more."""
        if self.names:
            return "\n".join(textwrap.wrap(plain(" ".join(item.parts)), form.name_width, break_on_hyphens=False))
        beside = ("\n" if form.stacked else " ").join(item.parts)
        below = textwrap.wrap(plain(item.below), form.below_width, break_on_hyphens=False, break_long_words=False)
        return "\n".join([beside, *below])


def open_console(file: TextIO | None = None) -> Console:
    """A console for reports (standard output by default); without a terminal it is 120 columns wide."""
    file = file or sys.stdout
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")  # a code page without ± or an arrow must not end the report
    console = Console(file=file, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def print_columns(console: Console, title: str, ends: Sequence[bool], columns: Sequence[Column]) -> None:
    """Print columns as one table, or as several where they do not fit.

    Args:
        console: whose width they fit.
        title: stands above the table.
        ends: of each row, whether a rule is drawn below it.
        columns: with an item for each row.
    """
    form = next((form for form in FORMS if _width(columns, form) <= console.width), FORMS[-1])
    for i, part in enumerate(_parts(columns, form, console.width)):
        print_note(console, f"{title} (continued)" if i else title, style="bold")
        console.print(_table(ends, part, form), crop=False)
        console.print()


def print_note(console: Console, note: str, style: str = "") -> None:
    """Print a sentence or two above or below a table, broken between words."""
    lines = textwrap.wrap(plain(note), console.width, subsequent_indent="  ", break_on_hyphens=False)
    console.print(Text("\n".join(lines), style=style))


def plain(text: str) -> str:
    """Text without the control characters by which a name or a message could act on the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _width(columns: Sequence[Column], form: Form) -> int:
    return sum(column.width(form) for column in columns) + GAP * (len(columns) - 1)


def _parts(columns: Sequence[Column], form: Form, width: int) -> Iterator[list[Column]]:
    """As many columns at a time as fit, at least one beside the names."""
    names = [column for column in columns if column.names]
    part = list(names)
    for column in (column for column in columns if not column.names):
        if len(part) > len(names) and _width([*part, column], form) > width:
            yield part
            part = list(names)
        part.append(column)
    yield part


def _table(ends: Sequence[bool], columns: Sequence[Column], form: Form) -> Table:
    width = _width(columns, form)  # more than the console has if it must be
    table = Table(box=box.SIMPLE_HEAD, width=width, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)
    for column in columns:
        width = column.width(form)
        header = Text("\n".join(textwrap.wrap(plain(column.header), width, break_on_hyphens=False)))
        table.add_column(header, justify="left" if column.names else "right", width=width, vertical="top")
    for i, end in enumerate(ends):
        items = [(column.text(column.items[i], form), column.items[i].style) for column in columns]
        table.add_row(*(Text(text, style=style) for text, style in items), end_section=end)
    return table
