"""95% intervals over several runs: the crossed bootstrap of records and runs.

Runs of one experiment share their records, so a replicate draws the records once, for all runs and for both sides
of a difference, and draws the runs too (records and runs are crossed, not nested: Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 2007). Members and non-members are drawn separately. Draws depend on the seed, the
membership and the number of runs only: any two calls about the same records are paired, and so are run i of one and
run i of the other where both have as many runs. A statistic of several attacks (say, the largest AUC) is taken inside
each replicate: `replicate_aucs(scores, members).max(axis=1)`.

Simulated coverage of a mean of five runs is 97% where records make all of its variance but noise, 93% where runs make
as much as records, 87% where they make ten times as much: five runs say little about a spread over runs. An interval
by t from the five values covers 70% in the first case.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from miabench.metrics import REPLICATES, TAIL, Booleans, Estimate, Floats, auc, checked, with_unseen
from miabench.seeds import derive

CHUNK = 2**19  # record weights held at once: 4 MB an array, which stays in cache


def crossed_auc(scores: ArrayLike, members: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Estimate:
    """Mean AUC over runs.

    Args:
        scores: (R, N), finite: R runs on the same N records. With one run only records are drawn.
        members: (N,), booleans, both kinds present.
        replicates: how many bootstraps.
        seed: of the draws.

    Raises:
        ValueError: scores or members are not as described.
    """
    value = _mean_auc(scores, members)
    drawn = replicate_aucs(scores, members, replicates, seed)
    return with_unseen(percentile_interval(value, drawn), int(np.bincount(np.asarray(members)).min()))


def crossed_auc_difference(
    scores_a: ArrayLike, scores_b: ArrayLike, members: ArrayLike, replicates: int = REPLICATES, seed: int = 0
) -> Estimate:
    """Mean AUC of a minus mean AUC of b, paired by record, and by run where both have as many runs.

    Where no record makes a difference the interval has no width.

    Args:
        scores_a: (Ra, N), finite.
        scores_b: (Rb, N), finite; run i shares its seeds with run i of a where Ra equals Rb.
        members: (N,), booleans, both kinds present; the same records for a and b.
        replicates: how many bootstraps.
        seed: of the draws.

    Raises:
        ValueError: scores or members are not as described.
    """
    value = _mean_auc(scores_a, members) - _mean_auc(scores_b, members)
    drawn = [replicate_aucs(scores, members, replicates, seed) for scores in (scores_a, scores_b)]
    return percentile_interval(value, drawn[0] - drawn[1])


def crossed_mean(values: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Estimate:
    """Mean over runs and records, for accuracies.

    Args:
        values: (R, N), from 0 to 1: whether run r classifies record i correctly.
        replicates: how many bootstraps.
        seed: of the draws.

    Raises:
        ValueError: values are not as described.
    """
    values = _fractions(values)
    drawn = replicate_means(values, replicates, seed)
    return with_unseen(percentile_interval(float(values.mean()), drawn), values.shape[1])


def crossed_mean_difference(
    values_a: ArrayLike, values_b: ArrayLike, replicates: int = REPLICATES, seed: int = 0
) -> Estimate:
    """Mean of a minus mean of b, paired by record, and by run where both have as many runs.

    Where no record makes a difference the interval has no width.

    Args:
        values_a: (Ra, N), from 0 to 1.
        values_b: (Rb, N), from 0 to 1, on the same records.
        replicates: how many bootstraps.
        seed: of the draws.

    Raises:
        ValueError: values are not as described.
    """
    a, b = _fractions(values_a), _fractions(values_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a difference needs the same records, got {a.shape[1]} and {b.shape[1]}")
    drawn = replicate_means(a, replicates, seed) - replicate_means(b, replicates, seed)
    return percentile_interval(float(a.mean()) - float(b.mean()), drawn)


def replicate_aucs(scores: ArrayLike, members: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Floats:
    """Mean AUC over the drawn runs on the drawn records, in each replicate.

    Args:
        scores: (..., R, N), finite; for example (K, R, N) for K attacks.
        members: (N,), booleans, both kinds present.
        replicates: B.
        seed: of the draws.

    Returns:
        (B, ...): row b of any two calls about the same records has the same draws.

    Raises:
        ValueError: scores or members are not as described.
    """
    scores = _with_runs(np.asarray(scores, dtype=np.float64))
    *items, runs, records = scores.shape
    rankings = [_Ranking(*checked(run, members)) for run in scores.reshape(-1, records)]
    draws = record_draws(np.asarray(members), replicates, seed)
    chunks = [np.stack([ranking.aucs(drawn) for ranking in rankings]) for drawn in draws]
    return _over_runs(np.concatenate(chunks, axis=1), items, run_shares(runs, replicates, seed))


def replicate_means(values: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Floats:
    """Mean over the drawn runs and records, in each replicate.

    Args:
        values: (..., R, N).
        replicates: B.
        seed: of the draws.

    Returns:
        (B, ...): row b of any two calls about as many records has the same draws.

    Raises:
        ValueError: values lack the axis of runs.
    """
    values = _with_runs(np.asarray(values, dtype=np.float64))
    *items, runs, records = values.shape
    rows = values.reshape(-1, records)
    one_kind = np.ones(records, dtype=np.bool_)
    chunks = [rows @ drawn / records for drawn in record_draws(one_kind, replicates, seed)]
    return _over_runs(np.concatenate(chunks, axis=1), items, run_shares(runs, replicates, seed))


def percentile_interval(value: float, drawn: Floats) -> Estimate:
    """The value with the interval from the 2.5% to the 97.5% quantile of its replicates (B,)."""
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    return Estimate(value, float(low), float(high))


def record_draws(members: Booleans, replicates: int, seed: int) -> Iterator[Floats]:
    """How often each record is drawn: arrays (N, b) of counts, b replicates at a time.

    Members are drawn among members (N,) and non-members among non-members, each as many as there are.
    """
    rng = np.random.default_rng(derive(seed, "bootstrap", "records"))
    kinds = [rows for rows in (np.flatnonzero(members), np.flatnonzero(~members)) if len(rows)]
    size = max(1, CHUNK // len(members))
    for start in range(0, replicates, size):
        counts = np.empty((min(size, replicates - start), len(members)))
        for row in counts:
            for rows in kinds:
                row[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield np.ascontiguousarray(counts.T)


def run_shares(runs: int, replicates: int, seed: int) -> Floats:
    """The share of each run among those drawn (B, R)."""
    rng = np.random.default_rng(derive(seed, "bootstrap", "runs", runs))
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=replicates) / runs


class _Ranking:
    """One run's records in order of score, from which weighted AUCs cost O(N) each."""

    def __init__(self, scores: Floats, members: Booleans) -> None:
        self.members, self.others = (
            rows[np.argsort(scores[rows])] for rows in (np.flatnonzero(members), np.flatnonzero(~members))
        )
        falls = scores[self.others]
        self.below = np.searchsorted(falls, scores[self.members], side="left")  # non-members below each member
        self.up_to = np.searchsorted(falls, scores[self.members], side="right")  # and those that tie with it

    def aucs(self, drawn: Floats) -> Floats:
        """AUCs (b,) with ties averaged, of records that count as often as drawn (N, b)."""
        passed = np.zeros((len(self.others) + 1, drawn.shape[1]))
        np.cumsum(drawn[self.others], axis=0, out=passed[1:])
        wins = passed[self.below] + passed[self.up_to]  # twice: a tie is half a win
        total: Floats = np.einsum("ib,ib->b", drawn[self.members], wins)  # whole numbers: exact
        return total / (2 * len(self.members) * len(self.others))


def _over_runs(per_run: Floats, items: list[int], shares: Floats) -> Floats:
    """Means over drawn runs (B, ...) from the values of every run, (items x R, B)."""
    replicates, runs = shares.shape
    means: Floats = np.einsum("irb,br->bi", per_run.reshape(-1, runs, replicates), shares)
    return means.reshape(replicates, *items)


def _mean_auc(scores: ArrayLike, members: ArrayLike) -> float:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not len(scores):
        raise ValueError(f"scores must have shape (runs, records), got {scores.shape}")
    return float(np.mean([auc(run, members).value for run in scores]))


def _with_runs(array: Floats) -> Floats:
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(f"expected an array of shape (..., runs, records), got {array.shape}")
    return array


def _fractions(values: ArrayLike) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"values must be from 0 to 1 with shape (runs, records), got shape {values.shape}")
    return values
