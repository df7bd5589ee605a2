"""95% intervals of means over runs, and of paired differences, that cover whether runs vary or not.

Runs of one experiment share their records, so a mean over R runs varies for three reasons (random effects, crossed):

    A_r  the number in run r;  V_ri  the influence of record i on it;  DL(v) = var(v, members)/m + var(v, others)/n
    D = DL(mean_r V_r)                              records: DeLong's variance of the mean
    Q = var_r(A_r) / R                              runs
    I = max(0, (mean_r DL(V_r) - D) / (R - 1))      interaction of both, which D and Q both hold
    V = D + max(0, Q - I);  nu = max(R - 1, V² / (Q²/(R-1) + D²/(min(m, n) - 1)))      (Satterthwaite)
    h = max(t(.975; nu) sqrt V,  t(.975; R-1) sqrt Q)

With one run V = D and the quantile is the normal one. Variances have ddof 1. The second half of h matters with few
runs: without it 2 runs cover 87.6%, 3 runs 91.4%. Simulated coverage (benchmarks/coverage.py) is 93 to 99% for AUC
and accuracy and 93 to 100% for the TPR at 1% and 10% FPR, with 2, 3, 5 and 16 runs. Two runs say little: their
intervals are three to four times as wide as they would have to be where runs do not vary.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtr, stdtr, stdtrit

from miabench.metrics.estimates import TAIL, Booleans, Estimate, Floats, Z, with_unseen
from miabench.metrics.influence import Influences


class Spread(NamedTuple):
    """Where the variance of a mean over runs comes from.

    Attributes:
        records: D (...).
        runs: Q (...); 0 for one run.
        interaction: I (...); 0 for one run.
        n_runs: R.
        fewest: records of the rarer kind, at least 2.
    """

    records: Floats
    runs: Floats
    interaction: Floats
    n_runs: int
    fewest: int

    @property
    def variance(self) -> Floats:
        """V (...)."""
        total: Floats = self.records + np.maximum(0, self.runs - self.interaction)
        return total

    @property
    def freedom(self) -> Floats:
        """Degrees of freedom nu (...)."""
        if self.n_runs == 1:
            return np.full(np.shape(self.records), math.inf)
        parts = self.runs**2 / (self.n_runs - 1) + self.records**2 / (self.fewest - 1)
        none = np.zeros_like(parts)
        freedom: Floats = np.maximum(self.n_runs - 1, np.divide(self.variance**2, parts, out=none, where=parts > 0))
        return freedom

    def half_width(self, tail: float = TAIL) -> Floats:
        """Half the width h of an interval (...), with so much probability left on either side."""
        if self.n_runs == 1:
            return (Z if tail == TAIL else -stdtrit(math.inf, tail)) * np.sqrt(self.variance)
        both = -stdtrit(self.freedom, tail) * np.sqrt(self.variance)
        width: Floats = np.maximum(both, -stdtrit(self.n_runs - 1, tail) * np.sqrt(self.runs))
        return width

    def p_value(self, distance: float) -> float:
        """Two-sided p-value of a value so far from what it would be by chance; of one number, not of many."""
        if not distance:
            return 1.0
        halves = [_tail(distance, float(self.variance), float(self.freedom))]
        if self.n_runs > 1:
            halves.append(_tail(distance, float(self.runs), self.n_runs - 1))
        return 2 * max(halves)


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


def spread(influences: Influences) -> Spread:
    """The variances (...) of means over runs; at least 2 records of each kind."""
    runs = influences.runs
    records = delong(influences.records.mean(axis=-2), influences.kinds)
    if runs == 1:
        return Spread(records, np.zeros_like(records), np.zeros_like(records), 1, influences.fewest)
    single = delong(influences.records, influences.kinds).mean(axis=-1)
    interaction = np.maximum(0, (single - records) / (runs - 1))
    return Spread(records, influences.values.var(axis=-1, ddof=1) / runs, interaction, runs, influences.fewest)


def delong(records: Floats, kinds: list[Booleans]) -> Floats:
    """DL: the variance (...) of a mean with influences (..., N), members and non-members sampled apart."""
    parts = [records[..., kind].var(axis=-1, ddof=1) / kind.sum() for kind in kinds]
    total: Floats = np.sum(parts, axis=0)
    return total


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
    value = float(influences.values.mean())
    if influences.fewest < 2:
        return Estimate(value, 0.0, 1.0)
    step = spread(influences).half_width()
    low, high = ends(influences, step, step)
    return with_unseen(Estimate(value, float(low), float(high)), influences.fewest)


def ends(influences: Influences, below: Floats, above: Floats) -> tuple[Floats, Floats]:
    """Interval ends (...) of means over runs that lie so far below and above, as `mean_over_runs` says."""
    mean = influences.values.mean(axis=-1)
    least = np.clip(mean - influences.over.mean(axis=-1), 0, 1)
    most = np.clip(mean + influences.under.mean(axis=-1), 0, 1)
    low = _moved(least, -below)
    if influences.own_threshold:
        low = np.minimum(low, np.maximum(least - below, 0))
    return low, _moved(most, above)


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
    return mean_difference(a.minus(b))


def mean_difference(influences: Influences) -> Difference:
    """`difference`, from the influences of the difference."""
    value = float(influences.values.mean())
    if influences.fewest < 2:
        return Difference(value, -1.0, 1.0, 1.0, None)
    over, under = float(influences.over.mean()), float(influences.under.mean())
    parts = spread(influences)
    if value and not parts.variance:
        return _unanimous(value, parts)
    step = float(parts.half_width())
    low, high = max(value - over - step, -1.0), min(value + under + step, 1.0)
    return Difference(value, low, high, parts.p_value(max(0.0, value - over, -value - under)), parts)


def _unanimous(value: float, parts: Spread) -> Difference:
    """A difference that all records and runs agree on."""
    _, low, high = with_unseen(Estimate((1 + value) / 2, 1.0, 0.0), parts.fewest)
    p = min(1.0, 2 * (1 + abs(value)) ** -parts.fewest)  # at which such an interval would end at 0
    return Difference(value, 2 * low - 1, 2 * high - 1, p, parts)


def _moved(rate: Floats, step: Floats) -> Floats:
    """Rates moved by steps on the logit scale; 0 and 1 stay."""
    slope = rate * (1 - rate)
    inner = slope > 0
    moved: Floats = np.where(inner, expit(logit(rate) + step / np.where(inner, slope, 1)), rate)
    return moved


def _tail(distance: float, variance: float, freedom: float) -> float:
    if not variance:
        return 0.0
    ratio = -distance / math.sqrt(variance)
    return float(ndtr(ratio) if math.isinf(freedom) else stdtr(freedom, ratio))
