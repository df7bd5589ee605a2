"""Rows of a delimited file (CSV), each with its line: the delimiter is found, the widths are the caller's to check."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from miabench.errors import UserError
from miabench.files.opened import text_lines

DELIMITERS = ",;\t|"  # in this order where several fit
SAMPLE = 50  # lines that the delimiter is found in
LONGEST_CELL = 2**26  # characters; Python's own limit of 131,072 is less than a long document
MOST_COLUMNS = 100_000
MOST_CELLS = 2 * 10**8
MOST_ROWS = 10**7


class Row(NamedTuple):
    """One row that is not blank.

    Attributes:
        line: the (last) line of the file that it is on, from 1.
    """

    cells: list[str]
    line: int


@contextmanager
def delimited_rows(path: Path) -> Iterator[Iterator[Row]]:
    """All rows that are not blank, a header among them.

    Args:
        path: UTF-8 text with cells between commas, semicolons, tabs or bars, plain or compressed.

    Raises:
        UserError: what `text_lines` refuses; quotes that do not close; more rows or columns than can be kept.
    """
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        with text_lines(path) as lines:
            yield _rows(path, lines)
    finally:
        csv.field_size_limit(limit)


def _rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    sample = list(itertools.islice(lines, SAMPLE))
    skipped = 0
    if sample and sample[0].strip().lower().startswith("sep=") and len(sample[0].strip()) <= 5:  # Excel's own hint
        sample, skipped = sample[1:], 1
    reader = csv.reader(
        itertools.chain(sample, lines), delimiter=find_delimiter(sample), strict=True, skipinitialspace=True
    )
    last, cells_read = skipped, 0
    try:
        for number, cells in enumerate(filter(None, reader), start=1):
            last = reader.line_num + skipped
            cells_read += len(cells)
            if len(cells) > MOST_COLUMNS:
                raise UserError(f"{path}, line {last}: {len(cells):,} cells; at most {MOST_COLUMNS:,}, use an npz file")
            if cells_read > MOST_CELLS or number > MOST_ROWS:
                raise UserError(
                    f"{path} has more than {MOST_ROWS:,} rows or {MOST_CELLS:,} cells; use an npz file, or fewer rows"
                )
            yield Row(cells, last)
    except csv.Error as error:
        raise UserError(f"{path}, after line {last}: not CSV: {error}") from None


def find_delimiter(lines: Sequence[str]) -> str:
    """What stands between the cells of the first lines of a file.

    Of those delimiters that give every row as many cells as the first one, the one that gives most; a comma where
    none does, unless only another one cuts the first row.
    """
    widths = {delimiter: _widths(lines, delimiter) for delimiter in DELIMITERS}
    even = [d for d, found in widths.items() if found and found[0] > 1 and set(found) == {found[0]}]
    return max(even or DELIMITERS, key=lambda d: widths[d][0] if widths[d] else 0)


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    """Numbers of cells of the first rows; of those before the first that the lines do not hold whole."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    widths = []
    try:
        for cells in filter(None, reader):
            widths.append(len(cells))
    except csv.Error:
        pass
    return widths
