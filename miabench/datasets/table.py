"""A table with a class for every row: a delimited text file with a header (CSV), Parquet, or npz.

What the file is, is told from its content. Text is UTF-8, plain or compressed (gzip, bzip2, xz, a zip of one file),
with commas, semicolons, tabs or bars between cells. npz: an array `x` (N, F) of numbers and an array (N,) of classes.
Parquet needs the extra `parquet`.

Numbers may have decimal commas and separators between thousands. Columns of text, and of zero-padded numbers such as
00501, become an input of 0 or 1 for each category. Missing values (empty, NA, null, ?, ...) become the median, and an
input of their own says where they were. Row numbers and columns that are always the same are left out. Whatever was
done, and what looks doubtful, is told in notes that stand in reports too.

Numbers are normalised per feature, in float64. Medians, means, standard deviations and the lists of categories come
from the whole pool, so that they carry no membership.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import field_validator

from miabench import Data, Dataset, Field, Schedule, UserError
from miabench.data.cells import is_missing, listed, shown
from miabench.data.doubts import doubts_about, row_numbers
from miabench.data.features import LARGEST, Encoded, encoded
from miabench.data.labels import classes_of, label_problems
from miabench.data.normalisation import standardised
from miabench.errors import nearest
from miabench.files.columns import Column, Columns, read_columns
from miabench.files.npz import is_npz, open_npz
from miabench.files.paths import expanded

WHICH_COLUMN = "set `label` to the column with the classes"
WHICH_ARRAY = "set `label` to the array with the classes"
LOOKED_AT = 1000  # columns of an npz in which doubts are looked for


class Table(Dataset, frozen=True, coerce_numbers_to_str=True):
    """A CSV, Parquet or npz file: features and a label column."""

    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.05, milestones={20: 0.005, 30: 0.0005}, batch_size=64)

    path: Path = Field(description="the file: CSV (also compressed), Parquet or npz")
    label: str | None = Field(None, description="the column or array with the classes; None: `label`, in an npz `y`")
    drop: tuple[str, ...] = Field((), description="columns to leave out: identifiers, names, dates, free text")
    categorical: tuple[str, ...] = Field(
        (), description="columns whose numbers are categories, an input of 0 or 1 each"
    )
    missing: Literal["median", "drop"] = Field(
        "median", description="missing values: filled in with the median, and marked; or their rows are left out"
    )

    @field_validator("drop", "categorical", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """One name may stand alone: `--set table.drop=id`."""
        return (value,) if isinstance(value, str | int) else value

    def load(self, root: Path) -> Data:
        """The pool, in the file's order.

        Raises:
            UserError: naming the file, and all rows and columns (or the array) that are wrong.
        """
        path = expanded(self.path)
        rows = self._read_npz(path) if is_npz(path) else self._read_columns(path)
        if problems := [*rows.problems, *label_problems(rows.labels, [f"{p}, {rows.label}" for p in rows.places])]:
            raise UserError(*(f"{path}, {problem}" for problem in problems))
        if rows.x.size == 0:
            said = f" ({rows.notes[0]})" if rows.notes else ""
            raise UserError(
                f"{path} holds {rows.x.shape[0]} rows of {rows.x.shape[1]} features{said}; needs some of both"
            )
        names, y, notes = classes_of(rows.labels)
        where = [f"{path}, {place}" for place in rows.places]
        return Data(torch.from_numpy(rows.x), torch.from_numpy(y), names, where=where, notes=(*rows.notes, *notes))

    def _read_columns(self, path: Path) -> _Rows:
        table = read_columns(path)
        label, used = self._chosen([column.name for column in table.columns], path)
        if table.columns[label].problem:
            raise UserError(
                f"{path}, column {table.columns[label].name!r} is no label: it {table.columns[label].problem}"
            )
        gaps = _gaps(table, [label, *used]) if self.missing == "drop" else np.zeros(len(table.places), bool)
        table = table.keeping(~gaps)
        labels, columns = table.columns[label], [table.columns[i] for i in used]
        if not table.places:
            return _Rows(np.empty((0, len(used)), np.float32), [], [], labels.name)
        found = encoded(columns, table.places, self.categorical)
        done = _done(columns, found) + (f"; {gaps.sum():,} rows with missing values are left out" if gaps.any() else "")
        doubts = [f"{column.name} ({one.doubt})" for column, one in zip(columns, found, strict=True) if one.doubt]
        return _Rows(
            np.concatenate([np.empty((len(table.places), 0), np.float32), *(one.inputs for one in found)], 1),
            labels.cells,
            table.places,
            f"column {shown(labels.name)}",
            [done, *_look(doubts)],
            [one.problem for one in found if one.problem],
        )

    def _chosen(self, names: Sequence[str], path: Path) -> tuple[int, list[int]]:
        """Positions of the label and of the features."""
        label = _label_column(names, self.label or "label", path)
        self._check_names(names, path)
        return label, [i for i, name in enumerate(names) if i != label and name not in self.drop]

    def _check_names(self, names: Sequence[str], path: Path) -> None:
        problems = [
            f"{path} has no column {name!r} to {what}{nearest(name, names)}"
            for what, given in (("drop", self.drop), ("take as categorical", self.categorical))
            for name in given
            if name not in names
        ]
        if problems:
            raise UserError(*problems)

    def _read_npz(self, path: Path) -> _Rows:
        if self.drop or self.categorical:
            raise UserError(f"{path} is an npz file, whose columns have no names: drop and categorical are for CSV")
        label = self.label or "y"
        x, y = _arrays(path, ("x", label))
        _check_arrays(path, x, y, label)
        inputs = standardised(x) if len(x) else np.empty(x.shape, np.float32)
        labels = [str(value) for value in y.tolist()]
        places = [f"row {row}" for row in range(len(x))]
        return _Rows(inputs, labels, places, f"array {label!r}", _look(_array_doubts(x, inputs)))


@dataclass(frozen=True)
class _Rows:
    """Records as they will be.

    Attributes:
        x: (N, F).
        labels: N texts.
        places: each record in words.
        label: the column or array of the labels, in words.
        problems: what is wrong with the columns.
    """

    x: NDArray[np.float32]
    labels: Sequence[str]
    places: Sequence[str]
    label: str
    notes: Sequence[str] = ()
    problems: Sequence[str] = ()


def _label_column(names: Sequence[str], label: str, path: Path) -> int:
    if label not in names:
        raise UserError(f"{path} has no column {label!r}{nearest(label, names)}; {WHICH_COLUMN}")
    if names.count(label) > 1:
        raise UserError(f"{path} has {names.count(label)} columns {label!r}; the label needs a name of its own")
    return names.index(label)


def _gaps(table: Columns, used: Sequence[int]) -> NDArray[np.bool_]:
    """Which rows miss a value in the columns that are used."""
    gaps = np.zeros(len(table.places), bool)
    for column in (table.columns[i] for i in used):
        spellings = {cell for cell in set(column.cells) if is_missing(cell)}
        gaps |= np.fromiter((cell in spellings for cell in column.cells), bool, len(gaps))
    return gaps


def _done(columns: Sequence[Column], found: Sequence[Encoded]) -> str:
    """What became of the columns, in one line."""
    inputs = sum(one.inputs.shape[1] for one in found)
    by_kind: dict[str, list[str]] = {}
    for column, one in zip(columns, found, strict=True):
        for kind, how in one.done.items():
            by_kind.setdefault(kind, []).append(f"{column.name} ({how})" if how else column.name)
    used = sum(bool(one.inputs.shape[1]) for one in found)
    said = [f"{inputs} inputs from {used} of {len(columns)} columns"]
    return "; ".join([*said, *(f"{kind}: {listed(names)}" for kind, names in by_kind.items())])


def _look(doubts: Sequence[str]) -> list[str]:
    return [f"look at {listed(doubts)}; `drop` leaves columns out"] if doubts else []


def _array_doubts(x: NDArray[Any], inputs: NDArray[np.float32]) -> list[str]:
    """Columns of an npz that may be no feature: nothing of it is left out, as its shape may matter to a model."""
    found = []
    for i in range(min(x.shape[1], LOOKED_AT) if len(x) else 0):
        column = x[:, i].astype(np.float64)
        doubts = ["row numbers?"] if row_numbers(column, named=True) else list(doubts_about(column, inputs[:, i]))
        found += [f"x[:, {i}] ({'; '.join(doubts)})"] if doubts else []
    return found


def _arrays(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    with open_npz(path) as file:
        for name in names:
            if name not in file.files:
                hint = f"; {WHICH_ARRAY}" if name == "y" else ""
                raise UserError(f"{path} has no array {name!r}{nearest(name, file.files)}{hint}")
        return [file[name] for name in names]


def _check_arrays(path: Path, x: NDArray[Any], y: NDArray[Any], label: str) -> None:
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
