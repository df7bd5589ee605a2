"""Some columns of a CSV file, plain or compressed, each row with its line for error messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from miabench.errors import UserError, nearest
from miabench.files import delimited

Column: TypeAlias = str | int


@dataclass(frozen=True)
class Row:
    """The wanted cells of one row, in the order they were asked for.

    Attributes:
        line: the (last) line of the file that the row is on, from 1.
    """

    cells: tuple[str, ...]
    line: int


def csv_rows(path: Path, columns: Sequence[Column], header: bool, choose: str = "") -> list[Row]:
    """All rows that are not blank.

    Args:
        path: UTF-8; delimiter and compression are found in the content, see `delimited` and `opened`.
        columns: names; positions from 0 where there is no header.
        header: whether the first row names the columns.
        choose: how the user can name other columns, for the error about one that is not there.

    Raises:
        UserError: a file that is missing, damaged or no CSV; a column that is not there; a row of another width.
    """
    with delimited.delimited_rows(path) as rows:
        return list(_wanted(rows, columns, header, _Place(path, choose)))


@dataclass(frozen=True)
class _Place:
    """The file, for errors.

    Attributes:
        choose: how the user can name other columns, or empty.
    """

    path: Path
    choose: str


def _wanted(rows: Iterator[delimited.Row], columns: Sequence[Column], header: bool, place: _Place) -> Iterator[Row]:
    wanted: list[int] = []
    width = 0
    for cells, line in rows:
        if not width:
            width = len(cells)
            names = [name.strip() for name in cells] if header else None
            wanted = [_position(column, names, width, place) for column in columns]
            if header:
                continue
        if len(cells) != width:
            raise UserError(f"{place.path}, line {line}: {len(cells)} cells, but the first row has {width}")
        yield Row(tuple(cells[position] for position in wanted), line)


def _position(column: Column, names: list[str] | None, width: int, place: _Place) -> int:
    path, choose = place.path, f"; {place.choose}" if place.choose else ""
    if names is None:
        if isinstance(column, str):
            raise UserError(f"column {column!r} is a name, but header = false: give its position, 0 to {width - 1}")
        if not 0 <= column < width:
            raise UserError(f"{path} has no column {column}; it has {width}, counted from 0{choose}")
        return column
    name = str(column)
    if name not in names:
        raise UserError(f"{path} has no column {name!r}{nearest(name, names)}{choose}")
    if names.count(name) > 1:
        raise UserError(f"{path} has {names.count(name)} columns {name!r}; it needs a name of its own")
    return names.index(name)
