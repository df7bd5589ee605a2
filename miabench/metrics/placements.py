"""Where each record stands among the records of the other kind: what an AUC is the mean of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miabench.metrics.estimates import Booleans, Floats


def placements(scores: Floats, members: Booleans) -> Floats:
    """For a member the share of non-members below it, for a non-member the share of members above it.

    A tie counts one half. Over the members and over the non-members alike the mean is the AUC (DeLong et al.,
    Biometrics 1988, call them structural components). One sort per row of scores.

    >>> placements(np.array([1.0, 3, 4, 2, 0]), np.array([True, True, True, False, False])).round(3)
    array([0.5  , 1.   , 1.   , 0.667, 1.   ])

    Args:
        scores: (..., N), finite.
        members: (N,), booleans, both kinds present.
    """
    order = np.argsort(scores, axis=-1)
    ranked, kinds = np.take_along_axis(scores, order, axis=-1), members[order]
    first, last = _blocks(ranked)
    members_below, others_below = (_below(kind, first, last) for kind in (kinds, ~kinds))
    m = int(members.sum())
    n = len(members) - m
    placed = np.empty(scores.shape)
    np.put_along_axis(placed, order, np.where(kinds, others_below / n, 1 - members_below / m), axis=-1)
    return placed


def _blocks(ranked: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last position (..., N) of the block of equal values that each position belongs to."""
    positions = np.arange(ranked.shape[-1])
    differs = ranked[..., 1:] != ranked[..., :-1]
    edge = np.ones((*ranked.shape[:-1], 1), dtype=np.bool_)
    begins, ends = np.concatenate([edge, differs], axis=-1), np.concatenate([differs, edge], axis=-1)
    first = np.maximum.accumulate(np.where(begins, positions, 0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, positions, positions[-1])[..., ::-1], axis=-1)[..., ::-1]
    return first, last


def _below(kind: Booleans, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
    """Records of a kind below each position, those of its own block counted half."""
    up_to = np.concatenate([np.zeros((*kind.shape[:-1], 1), dtype=np.int64), np.cumsum(kind, axis=-1)], axis=-1)
    before = np.take_along_axis(up_to, first, axis=-1)
    below: Floats = (before + np.take_along_axis(up_to, last + 1, axis=-1)) / 2
    return below
