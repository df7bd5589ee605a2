"""Scores that are counts: which answers a record beats, made finer below one count by what was counted.

A count among few answers ties many records, and how ties fall decides a TPR at a low FPR. So records with the same
count are ranked on by the statistic that was compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def below_one(statistic: Array) -> Array:
    """A strictly increasing function of the statistic, between 0 and 1: (1 + s / (1 + |s|)) / 2."""
    squashed: Array = (1 + statistic / (1 + np.abs(statistic))) / 2
    return squashed


def smoothed_share(count: NDArray[Any], n: NDArray[Any] | int, largest: int, statistic: Array) -> Array:
    """(1 + count) / (2 + n), ranked on by the statistic where two shares are equal.

    The smoothing keeps shares of few answers away from 0 and 1. Two different shares lie at least
    1 / (2 + largest)^2 apart, which is what the statistic adds at most.

    Args:
        count: answers beaten (N,), 0 to n.
        n: answers compared with, (N,) or one number.
        largest: the largest n.
        statistic: what was compared (N,).
    """
    share: Array = (1 + count) / (2 + n) + below_one(statistic) / (2 + largest) ** 2
    return share
