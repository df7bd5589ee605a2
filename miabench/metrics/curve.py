"""The ROC curve of a ranking, and its last point within a false positive rate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from miabench.metrics.estimates import Floats, checked, counts


class Roc(NamedTuple):
    """Every achievable point, from nobody called a member to everybody.

    Attributes:
        fpr: (P,), rising from 0 to 1.
        tpr: (P,), rising from 0 to 1.
        thresholds: (P,), falling from +inf: a record is called a member if its score is at least the threshold.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats


class Point(NamedTuple):
    """One point of an ROC curve.

    Attributes:
        threshold: a record is called a member if its score is at least this; +inf calls nobody a member.
        tpr: true positive rate.
        fpr: false positive rate: the realised one, which may be below the one asked for.
    """

    threshold: float
    tpr: float
    fpr: float


def roc(scores: ArrayLike, members: ArrayLike) -> Roc:
    """The ROC curve: records with equal scores are taken together or not at all, nothing is interpolated.

    >>> roc([3, 2, 2, 1], [True, True, False, False])
    Roc(fpr=array([0. , 0. , 0.5, 1. ]), tpr=array([0. , 0.5, 1. , 1. ]), thresholds=array([inf,  3.,  2.,  1.]))

    Args:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: scores or members are not as described.
    """
    scores, members = checked(scores, members)
    order = np.argsort(-scores, kind="stable")
    falling, kinds = scores[order], members[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of each block of equal scores
    m, n = counts(members)
    tpr = np.append(0, np.cumsum(kinds)[last]) / m
    fpr = np.append(0, np.cumsum(~kinds)[last]) / n
    return Roc(fpr, tpr, np.append(math.inf, falling[last]))


def point_at_fpr(scores: ArrayLike, members: ArrayLike, fpr: float) -> Point | None:
    """The last point of the ROC curve whose false positive rate is at most `fpr`.

    Where the last ones differ in false positives alone it is the very last: the rate comes as near `fpr` as it may.

    Of a shadow model's scores, `threshold` is the calibrated one; of the target's own, `fpr` is the realised rate.
    With scores negated and members swapped it is the point of the negative side: `fpr` is then a false negative rate.

    >>> point_at_fpr([9, 7, 8, 5, 5, 0], [True, True, False, True, False, False], fpr=0.5)
    Point(threshold=7.0, tpr=0.6666666666666666, fpr=0.3333333333333333)

    Args:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.
        fpr: a fraction between 0 and 1, not percent.

    Returns:
        None if there are fewer than 1/fpr non-members: no false positive would be allowed.

    Raises:
        ValueError: scores, members or fpr are not as described.
    """
    curve = roc(scores, members)
    _, n = counts(np.asarray(members))
    allowed = allowed_errors(fpr, n)
    if allowed < 1:
        return None
    last = int(np.searchsorted(np.rint(curve.fpr * n), allowed, side="right")) - 1
    return Point(float(curve.thresholds[last]), float(curve.tpr[last]), float(curve.fpr[last]))


def allowed_errors(rate: float, records: int) -> int:
    """How many of the records may be called wrongly under a rate; never all of them.

    >>> allowed_errors(0.29, 100)
    29

    Raises:
        ValueError: rate is no fraction.
    """
    if not 0 < rate < 1:
        raise ValueError(f"fpr must be a fraction between 0 and 1 (1% is 0.01), got {rate}")
    return min(math.floor(rate * records * (1 + 1e-12)), records - 1)  # 0.29 * 100 is 28.999999999999996
