"""All columns of a table, as text: a delimited file with a header, or a Parquet file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.delimited import delimited_rows
from miabench.files.opened import head_of
from miabench.files.parquet import PARQUET, parquet_columns

UNNAMED = re.compile(r"\s*Unnamed: [0-9]+\s*")  # what pandas calls a column without a name, and writes again
TOLD = 5  # rows of a wrong width that are named


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: as in the header, or `column 3` where it has none there.
        named: whether the header has its name.
        cells: N texts, without white space around them.
        times: whether they are times, as whole numbers.
        problem: why they cannot be read, or empty.
    """

    name: str
    named: bool
    cells: Sequence[str]
    times: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Columns:
    """A table of N rows.

    Attributes:
        places: each row in words: its line, or its number from 0 in Parquet.
    """

    columns: Sequence[Column]
    places: Sequence[str]

    def keeping(self, keep: NDArray[np.bool_]) -> Columns:
        """The table with only some rows (N,)."""
        columns = [replace(column, cells=list(compress(column.cells, keep))) for column in self.columns]
        return Columns(columns, list(compress(self.places, keep)))


def read_columns(path: Path) -> Columns:
    """The columns of a file; what it is, is told from its content.

    Raises:
        UserError: a file that is missing, damaged or of another format; all rows of another width than the header.
    """
    if head_of(path).startswith(PARQUET):
        columns = [
            replace(_column(i, found.name, found.cells), times=found.times, problem=found.problem)
            for i, found in enumerate(parquet_columns(path))
        ]
        return Columns(columns, [f"row {row}" for row in range(len(columns[0].cells) if columns else 0)])
    with delimited_rows(path) as rows:
        header, _ = next(rows, ([], 0))
        cells: list[list[str]] = []
        places: list[str] = []
        wrong: dict[str, int] = {}  # width by place
        for row, line in rows:
            place = f"line {line}"
            if len(row) == len(header):
                cells.append(row)
                places.append(place)
            else:
                wrong[place] = len(row)
    if wrong:
        raise UserError(*(f"{path}, {said}" for said in _widths(wrong, len(header), len(cells))))
    by_column = zip(*cells, strict=True) if cells else [()] * len(header)
    return Columns([_column(i, *named) for i, named in enumerate(zip(header, by_column, strict=True))], places)


def _column(position: int, name: str, cells: Sequence[str]) -> Column:
    name = "" if UNNAMED.fullmatch(name) else name.strip()
    return Column(name or f"column {position + 1}", bool(name), [cell.strip() for cell in cells])


def _widths(wrong: dict[str, int], width: int, right: int) -> list[str]:
    if not right and set(wrong.values()) == {width + 1}:
        place = next(iter(wrong))
        return [f"{place}: each row has one cell more than the header: row names? Give the first column a name"]
    said = [f"{place}: {cells} cells, but the header has {width}" for place, cells in list(wrong.items())[:TOLD]]
    return [*said, f"and {len(wrong) - TOLD:,} more rows of another width"] if len(wrong) > TOLD else said
