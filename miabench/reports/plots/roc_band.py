"""ROC curves over several runs: the mean true positive rate at each number of false positives, with a 95% band."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from miabench.metrics.bootstrap import Counts, record_draws, run_shares
from miabench.metrics.estimates import TAIL, Booleans, Estimate, Floats, with_unseen

REPLICATES = 200  # a band is looked at: the second digit of its edges does not show
POINTS = 60  # of a curve, evenly spread over orders of magnitude


class Curve(NamedTuple):
    """Points of an ROC curve, as fractions, from one false positive to all.

    Attributes:
        fpr: (G,).
        tpr: mean over runs (G,).
        low: lower end of the 95% interval of each point (G,).
        high: upper end (G,).
    """

    fpr: Floats
    tpr: Floats
    low: Floats
    high: Floats


def roc(scores: Floats, members: Booleans, replicates: int = REPLICATES) -> Curve:
    """Mean over runs at each false positive rate, with the crossed bootstrap's band (see miabench.metrics.bootstrap).

    A run's true positive rate is that of the last point of its curve with at most so many false positives; records of
    equal score are taken together. The band is pointwise: records are drawn once for all runs, runs are drawn too,
    thresholds are chosen anew in each replicate; then `metrics.with_unseen`.

    Args:
        scores: (R, N), finite, larger for likelier members.
        members: (N,), booleans, both kinds present.
        replicates: how many bootstraps.
    """
    m, n = int(members.sum()), int((~members).sum())
    allowed = np.unique(np.geomspace(1, n, POINTS).round().astype(np.int64))
    once = np.ones((len(members), 1), dtype=np.uint8)
    tpr = np.mean([_hits(run, members, allowed, once)[:, 0] for run in scores], axis=0) / m
    drawn = np.concatenate([*_replicates(scores, members, allowed, replicates)], axis=1) / m
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=1)
    band = [with_unseen(Estimate(*map(float, point)), m) for point in zip(tpr, low, high, strict=True)]
    return Curve(allowed / n, tpr, np.array([point.low for point in band]), np.array([point.high for point in band]))


def _replicates(scores: Floats, members: Booleans, allowed: Counts, replicates: int) -> Iterator[Floats]:
    """Mean numbers of members found over the drawn runs (G, b), b replicates at a time."""
    shares, done = run_shares(len(scores), replicates, seed=0), 0
    for drawn in record_draws(members, replicates, seed=0):
        hits = np.stack([_hits(run, members, allowed, drawn) for run in scores])  # (R, G, b)
        yield np.einsum("rgb,br->gb", hits, shares[done : done + drawn.shape[1]])
        done += drawn.shape[1]


def _hits(scores: Floats, members: Booleans, allowed: Counts, drawn: Counts) -> Floats:
    """Members found with at most so many false positives (G, b), of records that count as often as drawn (N, b)."""
    order = np.argsort(-scores, kind="stable")
    falling, kinds, weights = scores[order], members[order], drawn[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of each block of equal scores
    true = np.cumsum(weights * kinds[:, None], axis=0, dtype=np.int64)[last]
    false = np.cumsum(weights * ~kinds[:, None], axis=0, dtype=np.int64)[last]
    found = np.zeros((len(allowed), drawn.shape[1]))
    for b in range(drawn.shape[1]):
        blocks = np.searchsorted(false[:, b], allowed, side="right")  # how many may be taken
        found[:, b] = np.append(0, true[:, b])[blocks]
    return found
