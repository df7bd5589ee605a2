"""A table of numbers with a class for every row: a CSV file with a header line, or an npz file.

CSV: comma-separated, UTF-8; one column holds the class and every other one a number. npz: an array `x` (N, F) of
numbers and an array (N,) of classes. Classes are numbers or text, sorted as such. Inputs are float32, normalised per
feature with the mean and standard deviation of the whole pool.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from miabench import Data, Dataset, Field, Schedule, UserError
from miabench.data.normalisation import feature_moments
from miabench.errors import nearest
from miabench.files.npz import open_npz

WHICH_COLUMN = "set `label` to the column with the classes"
WHICH_ARRAY = "set `label` to the array with the classes"
LARGEST = np.float64(np.finfo(np.float32).max)  # float64, so that nothing is rounded to be compared with it


class Table(Dataset, frozen=True, coerce_numbers_to_str=True):
    """A CSV or npz file: features and a label column."""

    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.05, milestones={20: 0.005, 30: 0.0005}, batch_size=64)

    path: Path = Field(description="the file; npz where its name ends in .npz, else CSV")
    label: str | None = Field(
        None, description="the column (CSV) or array (npz) with the classes; None: `label` in a CSV, `y` in an npz"
    )

    def load(self, root: Path) -> Data:
        """The pool, in the file's order.

        Raises:
            UserError: naming the file, and the row and column (or array) that is wrong.
        """
        path = self.path.expanduser()
        rows = _read_npz(path, self.label or "y") if path.suffix == ".npz" else _read_csv(path, self.label or "label")
        if rows.x.size == 0:
            raise UserError(f"{path} holds {rows.x.shape[0]} rows of {rows.x.shape[1]} features; needs some of both")
        classes = {value: label for label, value in enumerate(sorted(set(rows.labels)))}
        y = torch.tensor([classes[value] for value in rows.labels])
        mean, std = map(torch.from_numpy, feature_moments(rows.x))
        return Data(torch.from_numpy(rows.x), y, tuple(map(str, classes)), mean=mean, std=std, where=rows.where)


@dataclass(frozen=True)
class _Rows:
    x: NDArray[np.float32]  # (N, F)
    labels: Sequence[Any]  # N values of one type, which sorts
    where: Sequence[str]


def _read_csv(path: Path, label: str) -> _Rows:
    features, labels, where = [], [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True, skipinitialspace=True)
            header = [name.strip() for name in next(lines, [])]
            column = _label_column(header, label, path)
            names = header[:column] + header[column + 1 :]
            for place, cells in _cells(lines, len(header), path):
                labels.append(_label(cells.pop(column), f"{place}, column {label!r}"))
                features.append(_features(cells, names, place))
                where.append(place)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not CSV: {error}") from None
    x = np.stack(features) if features else np.empty((0, len(names)), np.float32)
    return _Rows(x, _as_numbers(labels), where)


def _label_column(header: list[str], label: str, path: Path) -> int:
    if label not in header:
        raise UserError(f"{path} has no column {label!r}{nearest(label, header)}; {WHICH_COLUMN}")
    if header.count(label) > 1:
        raise UserError(f"{path} has {header.count(label)} columns {label!r}; the label needs a name of its own")
    return header.index(label)


def _cells(lines: Any, width: int, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each row that is not blank, with its place in words: the file and the (last) line it is on, from 1."""
    for cells in lines:
        place = f"{path}, line {lines.line_num}"
        if cells and len(cells) != width:
            raise UserError(f"{place}: {len(cells)} cells, but the header has {width}")
        if cells:
            yield place, cells


def _label(cell: str, place: str) -> str:
    if cell.strip().lower() in ("", "nan"):
        raise UserError(f"{place}: {_shown(cell)} where a class is expected")
    return cell.strip()


def _features(cells: list[str], names: list[str], place: str) -> NDArray[np.float32]:
    values = [_number(cell) for cell in cells]
    if None in values:
        wrong = values.index(None)
        what = _shown(cells[wrong])
        raise UserError(f"{place}, column {names[wrong]!r}: {what} where a finite number is expected")
    return np.array(values, dtype=np.float32)


def _shown(cell: str) -> str:
    return repr(cell) if cell.strip() else "an empty cell"


def _number(cell: str) -> float | None:
    """The value of a cell, or None where it is no number that float32 holds."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def _as_numbers(labels: list[str]) -> Sequence[int] | Sequence[float] | Sequence[str]:
    """The labels as whole numbers or as numbers where all of them are, so that 10 sorts after 9."""
    try:
        return [int(label) for label in labels]
    except ValueError:
        pass
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return labels
    return numbers if all(map(math.isfinite, numbers)) else labels


def _read_npz(path: Path, label: str) -> _Rows:
    x, y = _arrays(path, ("x", label))
    if x.ndim != 2 or x.dtype.kind not in "biuf":
        raise UserError(f"{path}: x has shape {x.shape} and type {x.dtype}; expected numbers of shape (N, F)")
    if y.shape != x.shape[:1] or y.dtype.kind not in "biufU":
        raise UserError(
            f"{path}: {label} has shape {y.shape} and type {y.dtype}; expected numbers or text of shape {x.shape[:1]}"
        )
    for name, array in (("x", x), (label, y)):
        if array.dtype.kind == "f" and not (fits := np.abs(array) <= LARGEST).all():
            index = np.argwhere(~fits)[0].tolist()
            raise UserError(f"{path}: {name}{index} is {array[tuple(index)]}; expected a finite number")
    return _Rows(x.astype(np.float32), y.tolist(), [f"{path}, row {row}" for row in range(len(x))])


def _arrays(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    with open_npz(path) as file:
        for name in names:
            if name not in file.files:
                hint = f"; {WHICH_ARRAY}" if name == "y" else ""
                raise UserError(f"{path} has no array {name!r}{nearest(name, file.files)}{hint}")
        return [file[name] for name in names]
