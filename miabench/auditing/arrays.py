"""The arrays of a file of predictions: an npz as it is, a CSV by the names of its columns.

A CSV holds probabilities p0 ... pC-1 (or p1 ... pC, or P(y = 1) alone as p or p1), `label`, and features f0 ... fF-1.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miabench.auditing.outputs import FORMS
from miabench.data.cells import Style, is_number, number
from miabench.errors import UserError
from miabench.files.csv_rows import Row as CsvRow
from miabench.files.csv_rows import csv_rows
from miabench.files.delimited import delimited_rows
from miabench.files.npz import is_npz, open_npz

NAMES = (*FORMS, "labels", "classes", "features")


@dataclass(frozen=True)
class PredictionArrays:
    """The arrays of one file by name; a record is called by its line (CSV) or its row from 0 (npz).

    Attributes:
        first: the number of the first column, which is the label of the first class.
        lines: of each record in a CSV; None for an npz.
    """

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    first: int = 0
    lines: Sequence[int] | None = None

    def place(self, record: int) -> str:
        """Where a record stands, for error messages."""
        if self.lines is not None:
            return f"{self.path}, line {self.lines[record]}"
        return f"{self.path}, row {record} (from 0)"

    def cell(self, record: int, column: str) -> str:
        """Where one of its values stands."""
        return self.place(record) + (f", column {column!r}" if self.lines is not None else "")

    def numbers(self, name: str) -> NDArray[np.float64]:
        """An array as float64, all finite.

        Raises:
            UserError: it is not there, or holds something else.
        """
        if name not in self.arrays:
            what = "the columns f0, f1, ..." if self.lines is not None else f"an array {name!r}"
            raise UserError(
                f"{self.path} holds no {name}: {'a CSV' if self.lines is not None else 'an npz'} needs {what}"
            )
        array = self.arrays[name]
        if array.dtype.kind not in "biuf":
            raise UserError(f"{self.path}: {name} has type {array.dtype}; expected numbers")
        array = array.astype(np.float64)
        wrong = np.argwhere(~np.isfinite(array))
        if len(wrong) and array.ndim:
            raise UserError(
                f"{self.place(wrong[0][0])}: {name} holds {array[tuple(wrong[0])]}; expected finite numbers"
            )
        return array


def read_arrays(path: Path, features: bool) -> PredictionArrays:
    """Read one file: an npz or a CSV, as its content says.

    Args:
        path: the file.
        features: whether its features are read.

    Raises:
        UserError: it cannot be read.
    """
    if not is_npz(path):
        return _read_csv(path, features)
    with open_npz(path) as file:
        wanted = [name for name in NAMES if name in file.files and (features or name != "features")]
        return PredictionArrays(path, {name: file[name] for name in wanted})


def _read_csv(path: Path, features: bool) -> PredictionArrays:
    csv_rows(path, ("label",), header=True)  # says what is wrong with the file before its columns are counted
    header = _header(path)
    series = {"probabilities": _probabilities(path, header)}
    if features:
        series["features"] = _series("f", header)
    names = [name for columns in series.values() for name in columns]
    rows = csv_rows(path, [*names, "label"], header=True)
    style = _style([one.cells[: len(series["probabilities"])] for one in rows])
    table = np.array([_cells(path, one, names, style) for one in rows], dtype=np.float64).reshape(len(rows), len(names))
    arrays: dict[str, NDArray[Any]] = {"labels": np.array([one.cells[-1].strip() for one in rows], dtype=str)}
    start = 0
    for name, columns in series.items():
        if columns:
            arrays[name] = table[:, start : start + len(columns)]
            start += len(columns)
    several = len(series["probabilities"]) > 1
    first = int(series["probabilities"][0][1:]) if several else 0
    return PredictionArrays(path, arrays, first, [one.line for one in rows])


def _header(path: Path) -> list[str]:
    with delimited_rows(path) as rows:
        return [name.strip() for row in itertools.islice(rows, 1) for name in row.cells]


def _probabilities(path: Path, header: Sequence[str]) -> list[str]:
    """The columns of probabilities: a series, or one alone."""
    columns = _series("p", header)
    if columns == ["p0"]:
        raise UserError(f"{path}: one column of probabilities alone must be P(y = 1), named p1 or p, not p0")
    return columns or ["p"] * ("p" in header)


def _series(prefix: str, header: Sequence[str]) -> list[str]:
    """p0, p1, ... or p1, p2, ...: as many as the header has; one that is missing among them is missed when read."""
    numbers = [int(name[1:]) for name in header if re.fullmatch(rf"{prefix}\d+", name)]
    first = min([1, *numbers])
    return [f"{prefix}{i}" for i in range(first, first + len(numbers))]


def _style(probabilities: Sequence[Sequence[str]]) -> Style:
    """Whether a file has decimal commas, which its probabilities tell: 0,123 is nothing else."""
    cells = itertools.chain.from_iterable(probabilities)
    return "comma" if any(not is_number(cell) and is_number(cell, "comma") for cell in cells) else "point"


def _cells(path: Path, one: CsvRow, names: Sequence[str], style: Style) -> list[float]:
    numbers = []
    for name, cell in zip(names, one.cells, strict=False):  # the label comes after them
        try:
            if "_" in cell or not cell.isascii():  # numbers in Python alone
                raise ValueError
            numbers.append(number(cell, "comma") if style == "comma" and is_number(cell, "comma") else float(cell))
        except ValueError:
            what = repr(cell) if cell.strip() else "an empty cell"
            raise UserError(f"{path}, line {one.line}, column {name!r}: {what} where a number is expected") from None
    return numbers
