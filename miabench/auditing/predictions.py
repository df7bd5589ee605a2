"""Reading predictions that were made elsewhere.

A file is an npz with `logits` or `probabilities` (N, C) and `labels` (N,), or a CSV with the columns p0 ... pC-1 of
probabilities and `label`. An npz may hold `features` (N, ...) too, a CSV the columns f0 ... fF-1: the records' own
inputs, for the model-free classifier.

Attacks take logits. Logarithms of probabilities are logits: softmax(log p) = p for rows that sum to 1, and rows that
sum to 1 but for rounding are put right by it. So probabilities are handed to attacks as log p in float64, zeros as
log 1e-30 (Song and Mittal's floor). From there 1 - p_i is the sum of the other classes, so a float32 probability that
rounded to 1 is still ranked by what is left for the others. The probability form computes 1 - p_i by subtraction and
floors it; the two agree on the reference's values to 1e-12, but for m-entropies of records whose wrong class has a p_i
within 1e-5 of 1, where the subtraction loses digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.csv_rows import Row as CsvRow
from miabench.files.csv_rows import csv_rows
from miabench.files.delimited import Row, delimited_rows
from miabench.files.npz import is_npz, open_npz
from miabench.logprob import FLOOR

FORMS = ("logits", "probabilities")
FEWEST = 10  # records a file: with five folds, two of each kind in every fold
SUM_TOLERANCE = 1e-3  # of a row of probabilities; what rounding to four decimals does to 20 classes


@dataclass(frozen=True)
class Predictions:
    """One file.

    Attributes:
        form: `logits` or `probabilities`: what the file holds.
        logits: (N, C), or log probabilities.
        labels: true classes (N,), 0 to C-1.
        features: the records' inputs (N, F), or None where they were not asked for.
    """

    path: Path
    form: str
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    features: NDArray[np.float64] | None


# --- files ---


@dataclass(frozen=True)
class _File:
    """The arrays of one file by name; a record is called by its line (CSV) or its row from 0 (npz)."""

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    lines: Sequence[int] | None = None

    def place(self, record: int) -> str:
        return (
            f"{self.path}, line {self.lines[record]}"
            if self.lines is not None
            else f"{self.path}, row {record} (from 0)"
        )


def check_paths(paths: Sequence[Path], shadow_members: int, shadow_nonmembers: int) -> None:
    """Refuse one file under two names, and shadow models without one of their two files.

    Raises:
        UserError: what is wrong with the list of files.
    """
    if shadow_members != shadow_nonmembers:
        raise UserError(
            f"{shadow_members} files of --shadow-members but {shadow_nonmembers} of --shadow-nonmembers: "
            "give one of each for every shadow model, in the same order"
        )
    resolved = [path.resolve() for path in paths]
    twice = [path for path in paths if resolved.count(path.resolve()) > 1]
    if twice:
        raise UserError(
            f"{twice[0]} is given more than once: every file holds other records or another model's outputs"
        )


def read_all(paths: Sequence[Path], features: bool) -> list[Predictions]:
    """All files; the target's (the first two) with features where they are asked for."""
    files: list[Predictions] = []
    problems: list[str] = []
    for i, path in enumerate(paths):
        try:
            files.append(read_predictions(path, features and i < 2))
        except UserError as error:
            problems += error.problems
    if not problems:
        problems = [problem for file in files[1:] for problem in _differences(files[0], file)]
    if problems:
        raise UserError(*problems)
    return files


def _differences(first: Predictions, other: Predictions) -> Iterator[str]:
    """Why two files cannot be compared."""
    if other.form != first.form:
        yield f"{first.path} holds {first.form}, {other.path} {other.form}: all files must hold the same"
    ours, theirs = first.logits.shape[1], other.logits.shape[1]
    if theirs != ours:
        yield f"{first.path} has {ours} classes, {other.path} {theirs}: all files must have the same classes"
    if first.features is not None and other.features is not None:
        ours, theirs = first.features.shape[1], other.features.shape[1]
        if theirs != ours:
            yield f"{first.path} has {ours} features, {other.path} {theirs}: both must have the same features"


def read_predictions(path: Path, features: bool = False) -> Predictions:
    """Read one file and check it.

    Args:
        path: npz or CSV, as its content says.
        features: whether it must hold features.

    Raises:
        UserError: naming the file and the row or line that is wrong.
    """
    file = _read_npz(path, features) if is_npz(path) else _read_csv(path, features)
    form = next((name for name in FORMS if name in file.arrays), None)
    if form is None:
        raise UserError(
            f"{path} holds neither logits nor probabilities: an npz needs one of them as an array (N, C), "
            "a CSV the columns p0, p1, ... of probabilities"
        )
    answers = _numbers(file, form)
    if answers.ndim != 2 or answers.shape[1] < 2:
        raise UserError(f"{path}: {form} has shape {answers.shape}; expected (N, C) with 2 classes or more")
    if len(answers) < FEWEST:
        raise UserError(
            f"{path} holds {len(answers)} records; an audit needs {FEWEST} members and {FEWEST} non-members"
        )
    labels = _labels(file, *answers.shape)
    if form == "probabilities":
        _check_probabilities(file, answers)
        answers = np.log(np.maximum(answers, FLOOR))
    return Predictions(path, form, answers, labels, _features(file, len(answers)) if features else None)


def _numbers(file: _File, name: str) -> NDArray[np.float64]:
    """An array as float64, all finite."""
    if name not in file.arrays:
        what = "a CSV needs the columns f0, f1, ..." if file.lines is not None else f"an npz needs an array {name!r}"
        raise UserError(f"{file.path} holds no {name}: {what}")
    array = file.arrays[name]
    if array.dtype.kind not in "biuf":
        raise UserError(f"{file.path}: {name} has type {array.dtype}; expected numbers")
    array = array.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong) and array.ndim:
        raise UserError(f"{file.place(wrong[0][0])}: {name} holds {array[tuple(wrong[0])]}; expected finite numbers")
    return array


def _labels(file: _File, n: int, num_classes: int) -> NDArray[np.int64]:
    labels = _numbers(file, "labels")
    if labels.shape != (n,):
        raise UserError(
            f"{file.path}: labels has shape {labels.shape}; expected one label for each of {n} records: ({n},)"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes) | (labels != np.floor(labels)))
    if len(wrong):
        raise UserError(
            f"{file.place(wrong[0])}: label {labels[wrong[0]]:g}; a label is the number of a column, "
            f"0 to {num_classes - 1}"
        )
    return labels.astype(np.int64)


def _check_probabilities(file: _File, p: NDArray[np.float64]) -> None:
    outside = np.argwhere((p < 0) | (p > 1 + SUM_TOLERANCE))
    if len(outside):
        where, value = file.place(outside[0][0]), p[tuple(outside[0])]
        raise UserError(f"{where}: {value:g} is no probability; logits belong into an npz, as the array 'logits'")
    total = p.sum(1)
    wrong = np.flatnonzero(np.abs(total - 1) > SUM_TOLERANCE)
    if len(wrong):
        raise UserError(f"{file.place(wrong[0])}: the probabilities sum to {total[wrong[0]]:.6g}; expected 1")


def _features(file: _File, n: int) -> NDArray[np.float64]:
    features = _numbers(file, "features")
    if features.ndim < 2 or len(features) != n:
        raise UserError(f"{file.path}: features has shape {features.shape}; expected ({n}, ...), a row for each record")
    return features.reshape(n, -1)


def _read_npz(path: Path, features: bool) -> _File:
    names = (*FORMS, "labels", *(["features"] if features else []))
    with open_npz(path) as file:
        return _File(path, {name: file[name] for name in names if name in file.files})


def _read_csv(path: Path, features: bool) -> _File:
    csv_rows(path, ("label",), header=True)  # says what is wrong with the file before its columns are counted
    header = _header(path)
    series = {"probabilities": _series("p", header)} | ({"features": _series("f", header)} if features else {})
    names = [*(name for columns in series.values() for name in columns), "label"]
    rows = csv_rows(path, names, header=True)
    table = np.array([_cells(path, one, names) for one in rows], dtype=np.float64).reshape(-1, len(names))
    arrays, start = {"labels": table[:, -1]}, 0
    for name, columns in series.items():
        if columns:
            arrays[name] = table[:, start : start + len(columns)]
            start += len(columns)
    return _File(path, arrays, [one.line for one in rows])


def _header(path: Path) -> Iterable[str]:
    with delimited_rows(path) as rows:
        return next(rows, Row([], 0)).cells


def _series(prefix: str, header: Iterable[str]) -> list[str]:
    """p0 ... pC-1 for as many of them as the header has; one that is missing among them is missed when it is read."""
    count = sum(re.fullmatch(rf"{prefix}\d+", name.strip()) is not None for name in header)
    return [f"{prefix}{i}" for i in range(count)]


def _cells(path: Path, one: CsvRow, names: Sequence[str]) -> list[float]:
    numbers = []
    for name, cell in zip(names, one.cells, strict=True):
        try:
            numbers.append(float(cell))
            if "_" in cell or not cell.isascii():  # numbers in Python alone
                raise ValueError
        except ValueError:
            what = repr(cell) if cell.strip() else "an empty cell"
            raise UserError(f"{path}, line {one.line}, column {name!r}: {what} where a number is expected") from None
    return numbers
