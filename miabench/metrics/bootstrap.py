"""The crossed bootstrap of records and runs, by which plots draw bands.

Runs of one experiment share their records, so a replicate draws the records once, for all runs, and draws the runs too
(records and runs are crossed, not nested: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007). Members
and non-members are drawn separately. Draws depend on the seed, the membership and the number of runs only: any two
calls about the same records are paired.

With few runs whose spread matters its intervals are too narrow: a mean AUC of five runs is covered in 93% of cases
where runs make as much of the variance as records, in 87% where they make ten times as much. Numbers have the intervals
of `miabench.metrics.over_runs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.metrics.estimates import Booleans, Floats
from miabench.seeds import derive

CHUNK = 2**24  # records x replicates at once: for 30,000 records several times as fast as 2**19, which fits a cache
MOST_KEPT = 2**26  # draws, a byte each, that are kept for other calls about the same records
KEPT = 2  # such sets of draws

Counts: TypeAlias = NDArray[np.integer]


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
    kinds = np.flatnonzero(members), np.flatnonzero(~members)
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
