"""Reading predictions that were made elsewhere.

A file is an npz with `logits` or `probabilities` (N, C) and `labels` (N,), or a CSV with columns of probabilities and
`label`. Of two classes the outputs of the second suffice: P(y = 1), or its log odds as the one column of logits. A file
may hold features too, the records' own inputs, for the model-free classifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miabench.auditing.arrays import PredictionArrays, read_arrays
from miabench.auditing.labels import class_names, columns_of_labels
from miabench.auditing.outputs import FORMS, as_logits
from miabench.errors import UserError

FEWEST = 10  # records a file: with five folds, two of each kind in every fold


@dataclass(frozen=True)
class Predictions:
    """One file.

    Attributes:
        form: `logits` or `probabilities`: what the file holds.
        logits: (N, C), or log probabilities.
        labels: true classes (N,), 0 to C-1.
        features: the records' inputs (N, F), or None where they were not asked for.
        classes: the names of labels in the order of the columns; None where labels are numbers.
    """

    path: Path
    form: str
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    features: NDArray[np.float64] | None
    classes: tuple[str, ...] | None = None


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
    """All files; the target's (the first two) with features where they are asked for.

    Raises:
        UserError: all files' problems at once.
    """
    problems: list[str] = []
    arrays: list[PredictionArrays] = []
    for i, path in enumerate(paths):
        try:
            arrays.append(read_arrays(path, features and i < 2))
        except UserError as error:
            problems += error.problems
    names = class_names(arrays)
    files: list[Predictions] = []
    for file in arrays:
        try:
            files.append(_predictions(file, names, features and file.path in paths[:2]))
        except UserError as error:
            problems += error.problems
    if not problems:
        problems = [problem for file in files[1:] for problem in differences(files[0], file)]
    if problems:
        raise UserError(*problems)
    return files


def read_predictions(path: Path, features: bool = False) -> Predictions:
    """Read one file and check it.

    Args:
        path: npz where its name ends in .npz, else CSV.
        features: whether it must hold features.

    Raises:
        UserError: naming the file and the row or line that is wrong.
    """
    file = read_arrays(path, features)
    return _predictions(file, class_names([file]), features)


def _predictions(file: PredictionArrays, names: tuple[str, ...] | None, features: bool) -> Predictions:
    form = next((name for name in FORMS if name in file.arrays), None)
    if form is None:
        raise UserError(
            f"{file.path} holds neither logits nor probabilities: an npz needs one of them as an array (N, C), "
            "a CSV the columns p0, p1, ... of probabilities"
        )
    answers = file.numbers(form)
    if answers.ndim not in (1, 2) or answers.shape[1:] == (0,):
        raise UserError(f"{file.path}: {form} has shape {answers.shape}; expected (N, C), or (N,) for P(y = 1)")
    if len(answers) < FEWEST:
        raise UserError(
            f"{file.path} holds {len(answers)} records; an audit needs {FEWEST} members and {FEWEST} non-members"
        )
    answers = answers.reshape(len(answers), -1)
    labels = columns_of_labels(file, len(answers), max(2, answers.shape[1]), names)
    logits = as_logits(answers, form, file.place)
    return Predictions(file.path, form, logits, labels, _features(file, len(answers)) if features else None, names)


def _features(file: PredictionArrays, n: int) -> NDArray[np.float64]:
    features = file.numbers("features")
    if features.ndim < 2 or len(features) != n:
        raise UserError(f"{file.path}: features has shape {features.shape}; expected ({n}, ...), a row for each record")
    return features.reshape(n, -1)


def differences(first: Predictions, other: Predictions) -> Iterator[str]:
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
