"""Thresholds above which an attacker calls a record a member, learnt on shadow models."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from miabench.metrics.estimates import Booleans, Floats, checked, counts, same_length

Indices = NDArray[np.int64]
T = TypeVar("T")


class ClassThresholds(NamedTuple):
    """One threshold per class.

    Attributes:
        thresholds: (C,); a record is called a member if its score is at least its class's threshold.
        without: the classes that lack members or non-members, ascending; they use the global threshold.
    """

    thresholds: Floats
    without: tuple[int, ...]

    @property
    def fallbacks(self) -> int:
        """How many classes use the global threshold."""
        return len(self.without)


def threshold(scores: ArrayLike, members: ArrayLike) -> float:
    """The t that maximises ½ (TPR + TNR) of the rule: member if score >= t.

    Candidates are +inf (nobody is called a member) and every distinct score; the lowest calls everybody a member.
    Of equally good ones the largest is returned, so an attack that learns nothing calls nobody a member.

    >>> threshold([4, 2, 3, 1], [True, True, False, False])
    4.0

    Args:
        scores: (N,), finite; of shadow models, where an attacker learns a threshold.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: scores or members are not as described.
    """
    return _best_threshold(*checked(scores, members))


def per_class_thresholds(scores: ArrayLike, members: ArrayLike, labels: ArrayLike, num_classes: int) -> ClassThresholds:
    """One threshold per class (Song and Mittal, USENIX Security 2021); classes that lack either kind use the global.

    >>> per_class_thresholds([4, 2, 3, 1], [True, False, True, True], [0, 0, 1, 1], num_classes=2)
    ClassThresholds(thresholds=array([4., 3.]), without=(1,))

    Args:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.
        labels: (N,), integers from 0 to C-1.
        num_classes: C.

    Raises:
        ValueError: scores, members or labels are not as described.
    """
    scores, members = checked(scores, members)
    overall = _best_threshold(scores, members)
    own = per_class(_best_threshold, scores, members, labels, num_classes)
    thresholds = np.array([overall if one is None else one for one in own])
    return ClassThresholds(thresholds, tuple(label for label, one in enumerate(own) if one is None))


def per_class(
    metric: Callable[[Any, Booleans], T], values: NDArray[Any], members: Booleans, labels: ArrayLike, num_classes: int
) -> list[T | None]:
    """A metric of every class's records.

    >>> from miabench import metrics
    >>> scores, members = np.array([4.0, 2, 3, 1]), np.array([True, False, True, True])
    >>> [one and one.value for one in per_class(metrics.auc, scores, members, [0, 0, 1, 1], num_classes=2)]
    [1.0, None]

    Args:
        metric: of values and members, such as `auc` of scores or `balanced_accuracy` of decisions.
        values: (N,), scores or decisions.
        members: (N,), booleans.
        labels: (N,), integers from 0 to C-1.
        num_classes: C.

    Returns:
        By class (C,); None for a class that lacks members or non-members, or where the metric is None.

    Raises:
        ValueError: values, members or labels are not as described.
    """
    rows_of = _rows_by_class(labels, members, num_classes)
    mixed = [members[rows].any() and not members[rows].all() for rows in rows_of]
    return [metric(values[rows], members[rows]) if both else None for rows, both in zip(rows_of, mixed, strict=True)]


def _rows_by_class(labels: ArrayLike, members: Booleans, num_classes: int) -> list[Indices]:
    labels = np.asarray(labels)
    same_length(labels, "labels", members)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"labels must be integers from 0 to {num_classes - 1} (num_classes is {num_classes})")
    by_class = np.argsort(labels, kind="stable")
    return np.split(by_class, np.searchsorted(labels[by_class], np.arange(1, num_classes)))


def _best_threshold(scores: Floats, members: Booleans) -> float:
    """`threshold` of checked arrays: by one sort and cumulative sums."""
    order = np.argsort(-scores, kind="stable")
    falling, members = scores[order], members[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of each block of equal scores
    m, n = counts(members)
    # m n (TPR - FPR) in integers, so that equally good thresholds are equal; nobody has 0
    gain = np.cumsum(members)[last] * n - np.cumsum(~members)[last] * m
    best = int(gain.argmax())
    return float(falling[last][best]) if gain[best] > 0 else math.inf
