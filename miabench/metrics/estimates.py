"""What an estimate is, what arrays of scores must hold, and the two intervals that everything else leans on.

Scores are larger for likelier members; `members` is True for members. All values are fractions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

VERSION: int = 4  # raise it when a number changes, here or in miabench.evaluation
TAIL = 0.025  # on each side of a 95% interval
Z = 1.959963984540054  # normal quantile at 1 - TAIL

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


class Estimate(NamedTuple):
    """A value and its 95% interval, as fractions."""

    value: float
    low: float
    high: float


def with_unseen(estimate: Estimate, independent: int) -> Estimate:
    """The interval, widened to hold what outcomes that were never seen could make of the value.

    Independent outcomes that all agree still leave room for a share u of the population that differs, of which
    none was seen: (1 - u)^independent = 0.025, the Clopper-Pearson limit at n of n (u is about 3.7 / n). Methods
    that know only what was seen give such data an interval of no width. An AUC is no worse off than its min(m, n)
    disjoint pairs of a member and a non-member, whatever the distributions: these are the independent outcomes.

    >>> round(with_unseen(Estimate(1.0, 1.0, 1.0), independent=100).low, 4)
    0.9638

    Args:
        estimate: a mean of outcomes from 0 to 1.
        independent: how many independent outcomes the value is at least worth.
    """
    value, low, high = estimate
    seen = TAIL ** (1 / independent)
    return Estimate(value, min(low, value * seen), max(high, 1 - (1 - value) * seen))


def clopper_pearson(successes: int, trials: int) -> Estimate:
    """The share of successes with its exact interval (Clopper and Pearson, Biometrika 1934)."""
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, TAIL)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - TAIL)) if failures else 1.0
    return Estimate(successes / trials, low, high)


def checked(scores: ArrayLike, members: ArrayLike) -> tuple[Floats, Booleans]:
    """Scores (N,) as float64 and members (N,), or what is wrong with them.

    Raises:
        ValueError: scores that are not finite, members that are not booleans of both kinds, lengths that differ.
    """
    members = both_kinds(members)
    scores = np.asarray(scores, dtype=np.float64)
    same_length(scores, "scores", members)
    if not np.isfinite(scores).all():
        wrong = np.flatnonzero(~np.isfinite(scores))
        raise ValueError(
            f"scores must be finite: {len(wrong)} of {len(scores)} are NaN or infinite, first at row {wrong[0]}"
        )
    return scores, members


def counts(members: Booleans) -> tuple[int, int]:
    """Numbers of members and of non-members."""
    m = int(members.sum())
    return m, len(members) - m


def both_kinds(members: ArrayLike) -> Booleans:
    """Members (N,), or what is wrong with them.

    Raises:
        ValueError: not booleans, or one kind only.
    """
    members = booleans(members, "members")
    if members.all() or not members.any():
        m, n = counts(members)
        raise ValueError(f"members must hold members and non-members, got {m} members and {n} non-members")
    return members


def booleans(values: ArrayLike, name: str) -> Booleans:
    """The values (N,), or a ValueError where they are no booleans or have another shape."""
    values = np.asarray(values)
    if values.dtype != np.bool_ or values.ndim != 1:
        raise ValueError(
            f"{name} must be a one-dimensional array of booleans, got {values.dtype} of shape {values.shape}"
        )
    return values


def same_length(values: NDArray[Any], name: str, members: Booleans) -> None:
    """Raise a ValueError unless there is one value per record."""
    if values.shape != members.shape:
        raise ValueError(f"{name} must have one entry per record: shape {members.shape}, got {values.shape}")
