"""95% intervals of means over runs, and of paired differences, that cover whether runs vary or not.

The variances and the half-width h are those of `miabench.metrics.spread`. Simulated coverage (benchmarks/coverage.py)
with 1, 2, 3, 5 and 16 runs, whether runs vary more than records or not at all, as the least and the most of all cases:
mean AUC 92 to 99%, accuracy 91 to 100%, TPR at 1% FPR 95 to 100%, also of scores of few values. The least are with 5
and 16 runs that vary: on average over cases, 94% and more. Of differences, simulated with fewer trials, the averages
are 93 to 99% (AUC) and 97 to 100% (TPR). Two runs say little: their intervals are three to four times as wide as they
would have to be where runs do not vary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from miabench.metrics.estimates import Estimate, Floats, with_unseen
from miabench.metrics.influence import Influences
from miabench.metrics.spread import Spread, spread


class Difference(NamedTuple):
    """One mean minus another, paired by run and record, with its 95% interval.

    Attributes:
        value: from -1 to 1, a fraction.
        low: lower end.
        high: upper end.
        p: two-sided p-value of this one difference.
        spread: its variances, for `runs_needed`; None where fewer than 2 records of a kind leave all open.
    """

    value: float
    low: float
    high: float
    p: float
    spread: Spread | None


def mean_over_runs(influences: Influences) -> Estimate:
    """The mean over runs of a number between 0 and 1.

    The interval is on the logit scale, which keeps it in [0, 1] and, near 0 and 1, closer to nominal coverage, and
    then `with_unseen`: where all records agree no variance is left. Where runs choose their own thresholds the lower
    end is the lower of those on both scales. For an AUC in one run this is DeLong's interval.

    >>> from miabench.metrics import auc_influences
    >>> members = np.arange(200) < 100
    >>> scores = members + np.random.default_rng(0).normal(size=(5, 200))
    >>> [round(one, 3) for one in mean_over_runs(auc_influences(scores, members))]
    [0.784, 0.722, 0.836]

    Args:
        influences: of one number, (R,).

    Returns:
        With fewer than 2 records of a kind the interval is [0, 1].
    """
    (one,) = means_over_runs(influences.as_one_of_several())
    return one


def means_over_runs(influences: Influences) -> list[Estimate]:
    """`mean_over_runs` of K numbers, (K, R), at once."""
    means = influences.values.mean(axis=-1)
    if influences.fewest < 2:
        return [Estimate(float(mean), 0.0, 1.0) for mean in means]
    step = spread(influences).half_width()
    return intervals(influences, step, step)


def intervals(influences: Influences, below: Floats, above: Floats) -> list[Estimate]:
    """Means over runs with interval ends so far below and above them (K,), placed as `mean_over_runs` says."""
    means = influences.values.mean(axis=-1)
    least = np.clip(means - influences.over.mean(axis=-1), 0, 1)
    most = np.clip(means + influences.under.mean(axis=-1), 0, 1)
    lows, highs = _moved(least, -below), _moved(most, above)
    if influences.own_threshold:
        lows = np.minimum(lows, np.maximum(least - below, 0))
    ends = zip(means.tolist(), lows.tolist(), highs.tolist(), strict=True)
    return [with_unseen(Estimate(*one), influences.fewest) for one in ends]


def difference(a: Influences, b: Influences) -> Difference:
    """The mean of a minus the mean of b, paired by run and record.

    Where every record and run makes the same difference, and that is not 0, the interval holds what records that were
    never seen could make of it, as in `with_unseen`: no variance is no certainty.

    >>> from miabench.metrics import auc_influences
    >>> members = np.arange(200) < 100
    >>> noise = np.random.default_rng(0).normal(size=(5, 200))
    >>> weak, strong = (auc_influences(gain * members + noise, members) for gain in (0.8, 1.0))
    >>> [round(one, 3) for one in difference(weak, strong)[:4]]
    [-0.045, -0.051, -0.039, 0.0]

    Args:
        a: of one number, (R,).
        b: of the same number elsewhere; run i shares its seeds with run i of a.

    Returns:
        With fewer than 2 records of a kind the interval is [-1, 1] and p is 1.

    Raises:
        ValueError: the two are not about the same runs and records.
    """
    (one,) = differences(a.as_one_of_several(), b.as_one_of_several())
    return one


def differences(a: Influences, b: Influences) -> list[Difference]:
    """`difference` of K numbers, (K, R), at once."""
    apart = a.minus(b)
    values = apart.values.mean(axis=-1)
    if apart.fewest < 2:
        return [Difference(float(value), -1.0, 1.0, 1.0, None) for value in values]
    over, under = apart.over.mean(axis=-1), apart.under.mean(axis=-1)
    parts = spread(apart)
    step, p_values = parts.half_width(), parts.p_values(np.maximum(values - over, -values - under))
    lows, highs = np.maximum(values - over - step, -1), np.minimum(values + under + step, 1)
    rows = zip(values.tolist(), lows.tolist(), highs.tolist(), p_values.tolist(), strict=True)
    return [_unless_unanimous(Difference(*row, parts.pick(k))) for k, row in enumerate(rows)]


def _unless_unanimous(one: Difference) -> Difference:
    """The difference, widened where all records and runs agree on it."""
    parts, value = one.spread, one.value
    if parts is None or parts.variance > 0 or not value:
        return one
    _, low, high = with_unseen(Estimate((1 + value) / 2, 1.0, 0.0), parts.fewest)
    p = min(1.0, 2 * (1 + abs(value)) ** -parts.fewest)  # at which such an interval would end at 0
    return Difference(value, 2 * low - 1, 2 * high - 1, p, parts)


def _moved(rates: Floats, steps: Floats) -> Floats:
    """Rates moved by steps on the logit scale; 0 and 1 stay."""
    slopes = rates * (1 - rates)
    moved: Floats = expit(logit(rates) + steps / np.where(slopes > 0, slopes, 1))
    return moved
