"""The worst case over several attacks on one target: the largest of K numbers, with an interval that covers.

The largest of K noisy numbers is too high (the winner's curse), and an interval around it misses. With D, Q, I and t
as in `miabench.metrics.spread`, Q and I averaged over the attacks, which few runs cannot tell apart, and with the
correlations C of the attacks' numbers (covariances in place of variances in D + Q):

    V_k = D_k + max(0, mean_k Q_k - mean_k I_k)
    z* = 97.5% quantile of max_k Z_k,  Z ~ N(0, C),  from 2,000 seeded draws
    lower = max_k (theta_k - t(Phi(z*); nu_k) sqrt V_k);  upper = max_k (theta_k + t(.975; nu_k) sqrt V_k)
    value = 2 max_k theta_k - mean of max_k (theta_k + L_k),  L ~ N(0, D + Q),  clipped into the interval

where each half-width is at least that of the runs alone and the ends are on the logit scale, as for one attack. The
upper end needs no correction: the attack that is truly strongest has its own interval. Simulated coverage
(benchmarks/coverage.py, a small run) with 1 to 16 runs and 2 to 12 attacks is on average over cases 97 to 100% for AUC
and 99 to 100% for TPR at 1% FPR. The value takes back about half of the curse in AUC, a third to a half in TPR, and
hardly ever understates a leak. Of a level of access that is kept from being below a weaker one (`at_least`) it takes
back less: of .012 in AUC with 2 attacks and 3 runs .001 instead of .005; its interval covers as often.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from miabench.metrics.estimates import TAIL, Floats
from miabench.metrics.influence import Influences
from miabench.metrics.over_runs import intervals, mean_over_runs
from miabench.metrics.spread import Spread, spread
from miabench.seeds import derive

DRAWS = 2000


class WorstCase(NamedTuple):
    """The largest of K numbers, corrected for choosing among them.

    Attributes:
        value: a fraction.
        low: lower end of the 95% interval.
        high: upper end.
        attack: index of the attack with the largest mean.
        attacks: K.
    """

    value: float
    low: float
    high: float
    attack: int
    attacks: int


def worst_of(influences: Influences) -> WorstCase:
    """The largest mean over runs of any attack.

    >>> from miabench.metrics import auc_influences
    >>> members = np.arange(200) < 100
    >>> noise = np.random.default_rng(0).normal(size=(3, 5, 200))  # 3 attacks, 5 runs
    >>> [round(one, 3) for one in worst_of(auc_influences(members + noise, members))]
    [0.782, 0.721, 0.824, 0, 3]

    Args:
        influences: of K attacks on the same runs and records, (K, R); K = 1 is `mean_over_runs`.
    """
    means = influences.values.mean(axis=-1)
    top, attacks = int(means.argmax()), len(means)
    if attacks == 1:
        return WorstCase(*mean_over_runs(influences.pick(0)), 0, 1)
    if influences.fewest < 2:
        return WorstCase(float(means[top]), 0.0, 1.0, top, attacks)
    noise = _noise(influences)
    low, high = _interval(influences, noise)
    value = float(np.clip(means[top] - _curse(means, noise), low, high))
    return WorstCase(value, low, high, top, attacks)


def at_least(stronger: WorstCase, weaker: WorstCase) -> WorstCase:
    """The worst case of a level of access that has all attacks of a weaker one: its value is not below the weaker's.

    Among more attacks the correction takes more, also where those that were added are no stronger. The upper end is
    likewise not below the weaker's, so that it covers no less; the lower end stays.
    """
    return stronger._replace(value=max(stronger.value, weaker.value), high=max(stronger.high, weaker.high))


def strongest(influences: Influences) -> Influences:
    """Those of the strongest attack, its values moved by the correction: what worst cases are compared by.

    `difference(strongest(a), strongest(b))` is the worst case of a minus that of b, paired by run and record: its value
    is the difference of the two values of `worst_of`. The ends, and p, leave room for what each correction may have
    taken too much or too little: as much again as it took.

    Args:
        influences: of K attacks on the same runs and records, (K, R).

    Returns:
        Of one number, (R,).
    """
    means = influences.values.mean(axis=-1)
    one = influences.pick(int(means.argmax()))
    if len(means) == 1 or influences.fewest < 2:
        return one
    curse = _curse(means, _noise(influences))
    return one._replace(values=one.values - curse, over=one.over + curse, under=one.under + curse)


def _interval(influences: Influences, noise: Floats) -> tuple[float, float]:
    parts = spread(influences)
    largest = (noise / _positive(np.sqrt(parts.records + parts.runs))).max(axis=1)
    simultaneous = np.quantile(largest, 1 - TAIL)  # z*
    pooled = _pooled(parts)
    below = pooled.half_width(tail=float(ndtr(-simultaneous)))
    each = intervals(influences, below, pooled.half_width())
    return max(one.low for one in each), max(one.high for one in each)


def _pooled(parts: Spread) -> Spread:
    """The variances with those over runs averaged over the attacks."""
    runs, interaction = (np.full_like(one, one.mean()) for one in (parts.runs, parts.interaction))
    return parts._replace(runs=runs, interaction=interaction)


def _curse(means: Floats, noise: Floats) -> float:
    """By how much the largest mean is expected to exceed the mean that is truly largest, judged from the means."""
    return float((means + noise).max(axis=1).mean() - means.max())


def _noise(influences: Influences) -> Floats:
    """Draws (2000, K) of normal numbers with the covariances of the means: D + Q, covariances in place of variances."""
    records, runs = influences.records.mean(axis=-2), influences.runs
    parts = [_covariance(records[:, kind]) / kind.sum() for kind in influences.kinds]
    if runs > 1:
        parts.append(_covariance(influences.values) / runs)
    variances, axes = np.linalg.eigh(np.sum(parts, axis=0))
    root = (axes * np.sqrt(np.maximum(variances, 0))) @ axes.T  # symmetric: the attacks' order hardly matters
    noise: Floats = _normal(len(root)) @ root
    return noise


def _covariance(rows: Floats) -> Floats:
    """Covariances (K, K) of the rows, ddof 1."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    covariance: Floats = centred @ centred.T / (rows.shape[-1] - 1)
    return covariance


@lru_cache(maxsize=64)
def _normal(attacks: int) -> Floats:
    """Independent standard normal numbers (2000, K), not to be written to.

    By Latin hypercube (McKay et al., Technometrics 1979): each column has one number in each of so many equal parts,
    so that a tail's share is not left to chance.
    """
    rng = np.random.default_rng(derive("worst case", attacks))
    parts = rng.permuted(np.tile(np.arange(DRAWS), (attacks, 1)), axis=1).T
    numbers: Floats = ndtri((parts + rng.random(parts.shape)) / DRAWS)
    numbers.flags.writeable = False
    return numbers


def _positive(deviations: Floats) -> Floats:
    """The deviations, 1 in place of 0: a number without variance has no noise to be divided."""
    return np.where(deviations > 0, deviations, 1)
