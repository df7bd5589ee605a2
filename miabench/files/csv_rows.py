"""Some columns of a CSV file, plain or compressed, each row with its line for error messages."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from miabench.errors import UserError, nearest

Column: TypeAlias = str | int

OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
LONGEST_CELL = 2**31 - 1  # Python's own limit of 131,072 characters is less than a long document


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
        path: UTF-8, comma-separated; compressed where its name ends in .gz, .bz2, .xz or .zip (of one file).
        columns: names; positions from 0 where there is no header.
        header: whether the first row names the columns.
        choose: how the user can name other columns, for the error about one that is not there.

    Raises:
        UserError: a file that is missing, damaged or no CSV; a column that is not there; a row of another width.
    """
    limit = csv.field_size_limit(LONGEST_CELL)
    rows: list[Row] = []
    try:
        with _opened(path) as file:
            lines = csv.reader(file, strict=True, skipinitialspace=True)
            rows.extend(_rows(lines, columns, header, _Place(path, choose)))
            return rows
    except (UnicodeDecodeError, csv.Error) as error:
        what = f"not UTF-8 text: {error.reason}" if isinstance(error, UnicodeDecodeError) else f"not CSV: {error}"
        raise UserError(f"{path}, after line {rows[-1].line if rows else 0}: {what}") from None
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged, cut off, or not compressed as its name says: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    finally:
        csv.field_size_limit(limit)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
            if len(names) != 1:
                raise UserError(f"{path} holds {len(names)} files; expected one CSV file")
            with archive.open(names[0]) as file:
                yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    else:
        opener: Any = OPENERS.get(path.suffix, open)
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file


@dataclass(frozen=True)
class _Place:
    """The file, for errors.

    Attributes:
        choose: how the user can name other columns, or empty.
    """

    path: Path
    choose: str


def _rows(lines: Any, columns: Sequence[Column], header: bool, place: _Place) -> Iterator[Row]:
    wanted: list[int] = []
    width = 0
    for cells in lines:
        if not cells:
            continue
        if not width:
            width = len(cells)
            names = [name.strip() for name in cells] if header else None
            wanted = [_position(column, names, width, place) for column in columns]
            if header:
                continue
        if len(cells) != width:
            raise UserError(f"{place.path}, line {lines.line_num}: {len(cells)} cells, but the first row has {width}")
        yield Row(tuple(cells[position] for position in wanted), lines.line_num)


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
