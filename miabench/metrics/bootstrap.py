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

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from miabench.metrics.estimates import TAIL, Booleans, Estimate, Floats, checked, with_unseen
from miabench.seeds import derive

REPLICATES = 1000
CHUNK = 2**24  # records x replicates at once: for 30,000 records several times as fast as 2**19, which fits a cache
MOST_KEPT = 2**26  # draws, a byte each, that are kept for other calls about the same records
KEPT = 2  # such sets of draws: of all records, and of the non-members alone

Counts: TypeAlias = NDArray[np.integer]


class Replicates(NamedTuple):
    """A mean over runs and records, and its value in each replicate (B,)."""

    value: float
    drawn: Floats


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
    value, drawn = auc_replicates(scores, members, replicates, seed)
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
    return difference(*(auc_replicates(scores, members, replicates, seed) for scores in (scores_a, scores_b)))


def crossed_mean(values: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Estimate:
    """Mean over runs and records, for accuracies.

    Args:
        values: (R, N), from 0 to 1: whether run r classifies record i correctly.
        replicates: how many bootstraps.
        seed: of the draws.

    Raises:
        ValueError: values are not as described.
    """
    estimate = percentile_interval(*mean_replicates(values, replicates, seed))
    return with_unseen(estimate, np.shape(values)[1])


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
    return difference(*(mean_replicates(values, replicates, seed) for values in (a, b)))


def difference(a: Replicates, b: Replicates) -> Estimate:
    """The value of a minus that of b, which have the same draws."""
    return percentile_interval(a.value - b.value, a.drawn - b.drawn)


def auc_replicates(scores: ArrayLike, members: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Replicates:
    """Mean AUC over runs, and its replicates; arguments and errors are those of `crossed_auc`."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not len(scores):
        raise ValueError(f"scores must have shape (runs, records), got {scores.shape}")
    rankings = [_Ranking(*checked(run, members)) for run in scores]
    drawn = _replicate_rankings(rankings, np.asarray(members), run_shares(len(scores), replicates, seed), seed)
    return Replicates(float(np.mean([ranking.auc for ranking in rankings])), drawn[:, 0])


def mean_replicates(values: ArrayLike, replicates: int = REPLICATES, seed: int = 0) -> Replicates:
    """Mean over runs and records, and its replicates; arguments and errors are those of `crossed_mean`."""
    values = _fractions(values)
    return Replicates(float(values.mean()), replicate_means(values, replicates, seed))


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
    means = _replicate_rankings(rankings, np.asarray(members), run_shares(runs, replicates, seed), seed)
    return means.reshape(replicates, *items)


def replicate_means(
    values: ArrayLike, replicates: int = REPLICATES, seed: int = 0, members: ArrayLike | None = None
) -> Floats:
    """Mean over the drawn runs and records, in each replicate.

    Args:
        values: (..., R, N).
        replicates: B.
        seed: of the draws.
        members: (N,), booleans: the mean is over the non-members alone, on the draws that `replicate_aucs` makes of
            the same records; over all records if None.

    Returns:
        (B, ...): row b of any two calls about as many records (or the same members) has the same draws.

    Raises:
        ValueError: values lack the axis of runs.
    """
    values = _with_runs(np.asarray(values, dtype=np.float64))
    *items, runs, records = values.shape
    rows = values.reshape(-1, records)
    kinds = np.ones(records, dtype=np.bool_) if members is None else np.asarray(members, dtype=np.bool_)
    counted = slice(None) if members is None else np.flatnonzero(~kinds)
    rows = rows[:, counted]
    chunks = [rows @ drawn[counted] / rows.shape[1] for drawn in record_draws(kinds, replicates, seed)]
    means = _over_runs(np.concatenate(chunks, axis=1), run_shares(runs, replicates, seed))
    return means.reshape(replicates, *items)


def percentile_interval(value: float, drawn: Floats) -> Estimate:
    """The value with the interval from the 2.5% to the 97.5% quantile of its replicates (B,)."""
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    return Estimate(value, float(low), float(high))


def record_draws(members: Booleans, replicates: int, seed: int) -> Iterator[Counts]:
    """How often each record is drawn: arrays (N, b) of bytes, not to be written to, b replicates at a time.

    Members are drawn among members (N,) and non-members among non-members, each as many as there are.
    """
    size = max(1, CHUNK // len(members))
    if len(members) * replicates > MOST_KEPT:
        return _draw(members, replicates, seed, size)
    drawn = _kept_draws(members.tobytes(), replicates, seed)
    return (drawn[:, start : start + size] for start in range(0, replicates, size))


@lru_cache(maxsize=KEPT)
def _kept_draws(members: bytes, replicates: int, seed: int) -> Counts:
    (drawn,) = _draw(np.frombuffer(members, dtype=np.bool_), replicates, seed, size=replicates)
    drawn.flags.writeable = False
    return drawn


def _draw(members: Booleans, replicates: int, seed: int, size: int) -> Iterator[Counts]:
    rng = np.random.default_rng(derive(seed, "bootstrap", "records"))
    kinds = [rows for rows in (np.flatnonzero(members), np.flatnonzero(~members)) if len(rows)]
    for start in range(0, replicates, size):
        counts = np.empty((min(size, replicates - start), len(members)), dtype=np.uint8)  # P(count > 255) < 1e-500
        for row in counts:
            for rows in kinds:
                row[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield np.ascontiguousarray(counts.T)


@lru_cache(maxsize=KEPT)
def run_shares(runs: int, replicates: int, seed: int) -> Floats:
    """The share of each run among those drawn (B, R), not to be written to."""
    rng = np.random.default_rng(derive(seed, "bootstrap", "runs", runs))
    shares: Floats = rng.multinomial(runs, np.full(runs, 1 / runs), size=replicates) / runs
    shares.flags.writeable = False
    return shares


class _Ranking:
    """One run's records in order of score, from which weighted AUCs cost O(N) each."""

    def __init__(self, scores: Floats, members: Booleans) -> None:
        inside, outside = scores[members], scores[~members]
        self.order = np.argsort(outside)
        self.below = np.searchsorted(outside[self.order], inside, side="left")  # non-members below each member
        self.up_to = np.searchsorted(outside[self.order], inside, side="right")  # and those that tie with it
        self.ties = bool((self.below != self.up_to).any())
        self.pairs = len(inside) * len(outside)

    @property
    def auc(self) -> float:
        """Of all records once."""
        return int(self.below.sum() + self.up_to.sum()) / (2 * self.pairs)

    def aucs(self, inside: Counts, outside: Counts, passed: Counts) -> Floats:
        """AUCs (b,) with ties averaged, of members (m, b) and non-members (n, b) that count as often as they are drawn.

        All is whole numbers, so exact. One addition for a record and all replicates is several times as fast as
        np.cumsum, which goes through one replicate after the other.

        Args:
            inside: draws of the members.
            outside: draws of the non-members.
            passed: room for cumulative sums (n + 1, b), the first row 0.
        """
        for before, after, row in zip(passed, passed[1:], self.order, strict=False):
            np.add(before, outside[row], out=after)
        wins = passed[self.below]
        if self.ties:  # a tie is half a win: all is counted twice
            wins += passed[self.up_to]
        total: Floats = np.einsum("ib,ib->b", inside, wins) / ((1 + self.ties) * self.pairs)
        return total


def _replicate_rankings(rankings: Sequence[_Ranking], members: Booleans, shares: Floats, seed: int) -> Floats:
    """Mean AUCs over drawn runs (B, items) of the rankings of every run, (items x R)."""
    exact = np.int32 if 2 * rankings[0].pairs <= np.iinfo(np.int32).max else np.int64  # what sums of draws fit into
    chunks = []
    for drawn in record_draws(members, len(shares), seed):
        inside: Counts = drawn[members].astype(exact)
        outside: Counts = drawn[~members].astype(exact)
        passed = np.zeros((len(outside) + 1, outside.shape[1]), dtype=exact)
        chunks.append(np.stack([ranking.aucs(inside, outside, passed) for ranking in rankings]))
    return _over_runs(np.concatenate(chunks, axis=1), shares)


def _over_runs(per_run: Floats, shares: Floats) -> Floats:
    """Means over drawn runs (B, items) from the values of every run, (items x R, B)."""
    replicates, runs = shares.shape
    means: Floats = np.einsum("irb,br->bi", per_run.reshape(-1, runs, replicates), shares)
    return means


def _with_runs(array: Floats) -> Floats:
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(f"expected an array of shape (..., runs, records), got {array.shape}")
    return array


def _fractions(values: ArrayLike) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"values must be from 0 to 1 with shape (runs, records), got shape {values.shape}")
    return values
