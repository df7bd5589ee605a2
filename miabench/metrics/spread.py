"""Where the variance of a mean over runs comes from, and how wide an interval it makes.

Runs of one experiment share their records, so a mean over R runs varies for three reasons (random effects, crossed):

    A_r  the number in run r;  V_ri  the influence of record i on it;  DL(v) = var(v, members)/m + var(v, others)/n
    D = DL(mean_r V_r)                              records: DeLong's variance of the mean
    Q = var_r(A_r) / R                              runs
    I = max(0, (mean_r DL(V_r) - D) / (R - 1))      interaction of both, which D and Q both hold
    V = D + max(0, Q - I);  nu = max(R - 1, V² / (Q²/(R-1) + D²/(min(m, n) - 1)))      (Satterthwaite)
    h = max(t(.975; nu) sqrt V,  t(.975; R-1) sqrt Q)

Variances have ddof 1. With one run V = D and the quantile is the normal one. The second half of h matters with few
runs: without it 2 runs cover 87.6%, 3 runs 91.4%.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from miabench.metrics.estimates import TAIL, Booleans, Floats, Z
from miabench.metrics.influence import Influences


class Spread(NamedTuple):
    """The variances of means over runs.

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

    def p_values(self, distances: Floats) -> Floats:
        """Two-sided p-values (...) of numbers so far from what they would be by chance; of each by itself."""
        tails = _tail(distances, self.variance, self.freedom)
        if self.n_runs > 1:
            tails = np.maximum(tails, _tail(distances, self.runs, self.n_runs - 1))
        return np.where(distances > 0, 2 * tails, 1.0)

    def pick(self, index: int) -> Spread:
        """That of one item of the first axis."""
        return self._replace(records=self.records[index], runs=self.runs[index], interaction=self.interaction[index])


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


def _tail(distances: Floats, variance: Floats, freedom: Floats | int) -> Floats:
    """P(T < -distance / deviation); 0 where there is no variance."""
    varies = variance > 0
    ratios = -distances / np.sqrt(np.where(varies, variance, 1))
    return np.where(varies, stdtr(freedom, ratios), 0)
