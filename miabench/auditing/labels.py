"""Which column a label means: its number, or the place of its name among the classes' names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from miabench.auditing.arrays import PredictionArrays
from miabench.errors import UserError

SHOWN = 5  # names in a message


def class_names(files: Sequence[PredictionArrays]) -> tuple[str, ...] | None:
    """The classes' names in the order of the columns; None where labels are numbers and nothing names the classes.

    An array `classes` names them; without one they are the names found in all files, sorted, as scikit-learn orders
    `classes_`.
    """
    for file in files:
        if "classes" in file.arrays:
            return tuple(str(name) for name in file.arrays["classes"].reshape(-1))
    found = {str(name) for file in files if _are_names(file) for name in file.arrays["labels"].reshape(-1)}
    return tuple(sorted(found)) or None


def columns_of_labels(
    file: PredictionArrays, n: int, num_classes: int, names: Sequence[str] | None
) -> NDArray[np.int64]:
    """The column of each record's label (N,), from 0.

    Args:
        file: what was read.
        n: N, how many records have answers.
        num_classes: C.
        names: of the classes, if there are any.

    Raises:
        UserError: a label that no column belongs to.
    """
    labels = file.arrays.get("labels")
    if labels is not None and labels.shape != (n,):
        raise UserError(
            f"{file.path}: labels has shape {labels.shape}; expected one label for each of {n} records: ({n},)"
        )
    numbers = _numbers(file)
    if names is None or (numbers is not None and None in map(_float, names)):
        assert numbers is not None, "labels that are names come with the names of all classes"
        return _checked(file, numbers, num_classes)
    if len(names) != num_classes:
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise UserError(
            f"{file.path}: the outputs have {num_classes} columns, but labels name {len(names)}: {shown}; give labels "
            "as numbers of columns, or all names in the order of the columns as an array 'classes' of an npz"
        )
    return _places(file, names) if numbers is None else _places_of_numbers(file, numbers, names)


def _checked(file: PredictionArrays, numbers: NDArray[np.float64], num_classes: int) -> NDArray[np.int64]:
    first, last = file.first, file.first + num_classes - 1
    wrong = np.flatnonzero((numbers < first) | (numbers > last) | (numbers != np.floor(numbers)))
    if len(wrong):
        raise UserError(
            f"{file.place(wrong[0])}: label {numbers[wrong[0]]:g}; a label is the number of a column, {first} to {last}"
        )
    return numbers.astype(np.int64) - first


def _places(file: PredictionArrays, names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: i for i, name in enumerate(names)}
    return _found(file, [place.get(str(label)) for label in file.arrays["labels"]])


def _places_of_numbers(file: PredictionArrays, numbers: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.int64]:
    place = {_float(name): i for i, name in enumerate(names)}
    return _found(file, [place.get(number) for number in numbers.tolist()])


def _found(file: PredictionArrays, places: Sequence[int | None]) -> NDArray[np.int64]:
    if None in places:
        unknown = places.index(None)
        raise UserError(f"{file.place(unknown)}: label {file.arrays['labels'][unknown]} is none of the array 'classes'")
    return np.array(places, dtype=np.int64)


def _are_names(file: PredictionArrays) -> bool:
    """Whether a file's labels are names; what is wrong with them is said when they are looked up."""
    try:
        return "labels" in file.arrays and _numbers(file) is None
    except UserError:
        return False


def _numbers(file: PredictionArrays) -> NDArray[np.float64] | None:
    """The labels as numbers; None where they are names, and none of them is a number.

    Raises:
        UserError: some are and some are not, or are no finite numbers; there are no labels.
    """
    labels = file.arrays.get("labels")
    if labels is None or labels.dtype.kind not in "US":
        return file.numbers("labels")
    words = [str(label) for label in labels.reshape(-1)]
    values = [_float(word) for word in words]
    missing = [i for i, value in enumerate(values) if value is None]
    for i in missing:
        if not words[i].strip() or len(missing) < len(words):
            what = f"{words[i]!r} where a number is expected, as other labels are numbers"
            raise UserError(f"{file.cell(i, 'label')}: {what if words[i].strip() else 'an empty cell'}")
    if missing:
        return None
    numbers = np.array(values, dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise UserError(f"{file.place(wrong[0])}: labels holds {numbers[wrong[0]]}; expected finite numbers")
    return numbers


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
