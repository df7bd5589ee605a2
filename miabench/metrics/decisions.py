"""What decisions are worth: of a classifier (correct or not), or of an attack (called a member or not).

An attacker's decisions use a threshold learnt on shadow models (`miabench.metrics.threshold`, `point_at_fpr`);
the intervals are about the target's records and take the threshold as given.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from miabench.metrics.estimates import Booleans, Estimate, booleans, both_kinds, clopper_pearson, counts, same_length


def accuracy(correct: ArrayLike) -> Estimate:
    """Share of records classified correctly, with its Clopper-Pearson interval (Biometrika 1934).

    >>> accuracy([True, True, True, False]).value
    0.75

    Args:
        correct: (N,), booleans, at least one.

    Raises:
        ValueError: correct is not as described.
    """
    correct = booleans(correct, "correct")
    if not len(correct):
        raise ValueError("correct is empty: the accuracy of no record is undefined")
    return clopper_pearson(int(correct.sum()), len(correct))


def true_positive_rate(predicted: ArrayLike, members: ArrayLike) -> Estimate:
    """Share of members that are called members, with its Clopper-Pearson interval.

    >>> true_positive_rate([True, False, False, True], [True, True, False, False]).value
    0.5

    Args:
        predicted: (N,), booleans: called a member.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: predicted or members are not as described.
    """
    predicted, members = _checked(predicted, members)
    return accuracy(predicted[members])


def false_positive_rate(predicted: ArrayLike, members: ArrayLike) -> Estimate:
    """Share of non-members that are called members, FP / (FP + TN), with its Clopper-Pearson interval.

    Of the decision that is calibrated for balanced accuracy this is the false alarm rate (FAR).

    >>> round(false_positive_rate([True, False, False, True, True], [True, True, False, False, False]).value, 3)
    0.667

    Args:
        predicted: (N,), booleans: called a member.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: predicted or members are not as described.
    """
    predicted, members = _checked(predicted, members)
    return accuracy(predicted[~members])


def balanced_accuracy(predicted: ArrayLike, members: ArrayLike) -> Estimate:
    """½ (TPR + TNR) of an attack's decisions.

    The interval combines the Clopper-Pearson limits of TPR and TNR by the square root of the sum of their squared
    distances (MOVER: Zou and Donner, Statistics in Medicine 2008), widened by half the mean step that one record
    makes (continuity correction). Exact coverage, enumerated for 10 to 300 records a side with rates from 0.02/m
    to 1 - 0.02/m: at least 95.9% (92.7% without the correction, where both rates are near 0 or 1).

    >>> balanced_accuracy([True, False, False, False], [True, True, False, False]).value
    0.75

    Args:
        predicted: (N,), booleans: called a member.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: predicted or members are not as described.
    """
    predicted, members = _checked(predicted, members)
    m, n = counts(members)
    tpr = clopper_pearson(int(predicted[members].sum()), m)
    tnr = clopper_pearson(int((~predicted[~members]).sum()), n)
    value = (tpr.value + tnr.value) / 2
    half_step = (1 / m + 1 / n) / 8  # one record moves the value by 1/(2m) or 1/(2n)
    below = math.hypot(tpr.value - tpr.low, tnr.value - tnr.low) / 2 + half_step
    above = math.hypot(tpr.high - tpr.value, tnr.high - tnr.value) / 2 + half_step
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0))


def advantage(predicted: ArrayLike, members: ArrayLike) -> Estimate:
    """TPR - FPR of an attack's decisions (Yeom et al., CSF 2018), from -1 to 1: 2 balanced accuracy - 1.

    >>> advantage([True, False, False, False], [True, True, False, False]).value
    0.5

    Args:
        predicted: (N,), booleans: called a member.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: predicted or members are not as described.
    """
    return Estimate(*(2 * one - 1 for one in balanced_accuracy(predicted, members)))


def positive_predictive_value(predicted: ArrayLike, members: ArrayLike, prior: float) -> Estimate | None:
    """Share of members among those who are called members, where a share `prior` of all people are members.

    π TPR / (π TPR + (1 - π) FPR), which rises with the ratio TPR / FPR: the interval is that of the ratio, combined
    from the Clopper-Pearson limits of both (MOVER for ratios: Donner and Zou, SMMR 2012).

    >>> decided, members = [True, True, True, False], [True, True, False, False]
    >>> round(positive_predictive_value(decided, members, prior=0.1).value, 3)
    0.182

    Args:
        predicted: (N,), booleans: called a member.
        members: (N,), booleans, both kinds present.
        prior: π, a fraction between 0 and 1.

    Returns:
        None if nobody is called a member.

    Raises:
        ValueError: predicted, members or prior are not as described.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must be a fraction between 0 and 1 (1% is 0.01), got {prior}")
    tpr, fpr = true_positive_rate(predicted, members), false_positive_rate(predicted, members)
    if tpr.value == fpr.value == 0:
        return None
    ratios = tpr.value / fpr.value if fpr.value else math.inf, _least_ratio(tpr, fpr), _largest_ratio(tpr, fpr)
    return Estimate(*(_posterior(prior, ratio) for ratio in ratios))


def _posterior(prior: float, ratio: float) -> float:
    return 1 / (1 + (1 - prior) / (prior * ratio)) if ratio else 0.0


def _least_ratio(top: Estimate, bottom: Estimate) -> float:
    """The lower limit r of top / bottom: (top - r bottom)² = (top - top.low)² + r² (bottom.high - bottom)²."""
    a = bottom.high * (2 * bottom.value - bottom.high)
    b = top.value * bottom.value
    c = top.low * (2 * top.value - top.low)
    return c / (b + math.sqrt(b * b - a * c)) if c else 0.0


def _largest_ratio(top: Estimate, bottom: Estimate) -> float:
    """The upper limit r of top / bottom: (r bottom - top)² = (top.high - top)² + r² (bottom - bottom.low)²."""
    a = bottom.low * (2 * bottom.value - bottom.low)
    b = top.value * bottom.value
    c = top.high * (2 * top.value - top.high)
    return (b + math.sqrt(b * b - a * c)) / a if a else math.inf


def _checked(predicted: ArrayLike, members: ArrayLike) -> tuple[Booleans, Booleans]:
    members = both_kinds(members)
    predicted = booleans(predicted, "predicted")
    same_length(predicted, "predicted", members)
    return np.asarray(predicted), members
