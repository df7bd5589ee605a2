"""Spearman's rank correlation of two numbers of each record: whether two models rank the records alike.

Records that tie share their middle rank. Let u and v be the ranks of the two numbers, less their mean, over their
standard deviation s (ranks as shares of the N records), so that rho = mean u v. A record moves rho by its own product
and, as one more below others, by their ranks (c(i, j) = 1 where i is below j, 1/2 where they tie, 0 above):

    V_i = u_i v_i - rho (u_i² + v_i²) / 2
          + mean_j (v_j - rho u_j) c_a(i, j) / s_u + mean_j (u_j - rho v_j) c_b(i, j) / s_v

so that var(V) / N is the variance of rho over records, as with the other influences.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from miabench.metrics.estimates import Estimate, Floats
from miabench.metrics.influence import Influences
from miabench.metrics.over_runs import mean_over_runs


def rank_correlation_influences(a: ArrayLike, b: ArrayLike) -> Influences | None:
    """Of (1 + rho) / 2, which is from 0 to 1, in one run; rho is Spearman's rank correlation.

    >>> found = rank_correlation_influences([1.0, 2, 3, 4], [1.0, 3, 2, 4])
    >>> float(2 * found.values[0] - 1)
    0.8

    Args:
        a: one number of each record (N,), finite.
        b: another of the same records (N,).

    Returns:
        Values (1,), records (1, N), all of one kind; None where all records of either tie, or there are fewer than 2.

    Raises:
        ValueError: a or b is not as described.
    """
    from scipy.stats import rankdata  # which takes longer to load than a table to print

    a, b = _checked(a), _checked(b)
    if len(a) != len(b):
        raise ValueError(f"two numbers of each record are needed, got {len(a)} and {len(b)}")
    n = len(a)
    ranks = [rankdata(one) / n for one in (a, b)]
    if n < 2 or any(np.ptp(one) == 0 for one in ranks):
        return None
    deviations = [float(one.std()) for one in ranks]
    u, v = ((one - one.mean()) / deviation for one, deviation in zip(ranks, deviations, strict=True))
    rho = float(np.clip((u * v).mean(), -1, 1))
    own = u * v - rho * (u**2 + v**2) / 2
    moved = _sum_above(a, v - rho * u) / deviations[0] + _sum_above(b, u - rho * v) / deviations[1]
    value, no_bias = np.array([(1 + rho) / 2]), np.zeros(1)
    return Influences(value, value + (own + moved / n)[None] / 2, np.ones(n, dtype=np.bool_), no_bias, no_bias)


def rank_correlation_over_runs(influences: Influences) -> Estimate:
    """The mean of rho over runs, from -1 to 1, with its 95% interval.

    The interval is that of `mean_over_runs`; the logit scale of (1 + rho) / 2 is twice Fisher's z of rho.

    >>> random = np.random.default_rng(0)
    >>> a = random.normal(size=400)
    >>> one = rank_correlation_influences(a, a + random.normal(size=400))
    >>> [round(end, 2) for end in rank_correlation_over_runs(one)]
    [0.72, 0.66, 0.77]

    Args:
        influences: of (1 + rho) / 2, (R,).
    """
    return Estimate(*(2 * end - 1 for end in mean_over_runs(influences)))


def _sum_above(values: Floats, weights: Floats) -> Floats:
    """Of each record, the sum of the weights of those whose value is above its own, and half of those that tie (N,)."""
    _, place = np.unique(values, return_inverse=True)
    by_value = np.bincount(place, weights)
    above = by_value.sum() - np.cumsum(by_value) + by_value / 2
    found: Floats = above[place]
    return found


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 1 or not np.isfinite(checked).all():
        raise ValueError(f"expected one finite number of each record, got an array of shape {checked.shape}")
    return checked
