"""Probabilities in log space: float64 from float32 logits, no clamp, so that saturated records are not tied.

A softmax in float32 rounds to 0 or 1 once two logits are about 17 apart (float64: 37), and 1 - p loses every digit
before that. Here each quantity keeps its relative precision. Axes: N records, C >= 2 classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

FLOOR = 1e-30  # inside logarithms of probabilities given from outside (Song and Mittal's code)


def log_softmax(logits: NDArray[Any]) -> Array:
    """Logarithms of softmax(logits) (N, C), for finite logits (N, C).

    The largest class has log p = -log1p(sum of the others' ratios to it): exact to the last bits near p = 1 too.
    """
    z = np.asarray(logits, dtype=np.float64)
    top = z.argmax(1)[:, None]
    gaps = z - np.take_along_axis(z, top, 1)
    ratios = np.exp(gaps)
    np.put_along_axis(ratios, top, 0.0, 1)
    log_p: Array = gaps - np.log1p(ratios.sum(1, keepdims=True))
    return log_p


def log_complement(log_p: Array) -> Array:
    """log(1 - p) (N, C) from log p (N, C).

    Only the largest class can have p > 1/2, where log1p(-p) loses digits: its value is summed over the others.
    """
    top = log_p.argmax(1)
    p = np.exp(log_p)
    np.put_along_axis(p, top[:, None], 0.0, 1)
    log_rest: Array = np.log1p(-p)
    np.put_along_axis(log_rest, top[:, None], _log_sum_of_others(log_p, top)[:, None], 1)
    return log_rest


def log_odds(logits: NDArray[Any], labels: Labels) -> Array:
    """The log odds log p_y - log(1 - p_y) = z_y - logsumexp of the other logits (N,).

    Strictly increasing in p_y and decreasing in the cross entropy, and never saturated: its range is that of logits.
    """
    z = np.asarray(logits, dtype=np.float64)
    at_label: Array = np.take_along_axis(z, labels[:, None], 1)[:, 0]
    return at_label - _log_sum_of_others(z, labels)


def entropy(logits: NDArray[Any]) -> Array:
    """H = -sum_i p_i log p_i (N,), in nats: 0 to log C."""
    log_p = log_softmax(logits)
    total: Array = (np.exp(log_p) * log_p).sum(1)
    return -total


def modified_entropy(logits: NDArray[Any], labels: Labels) -> Array:
    """Mentr (N,), in nats, 0 and above: see `modified_entropy_of_probabilities`."""
    log_p = log_softmax(logits)
    log_rest = log_complement(log_p)
    return _modified_entropy(np.exp(log_p), log_p, np.exp(log_rest), log_rest, labels)


def entropy_of_probabilities(p: NDArray[Any]) -> Array:
    """H (N,) of probabilities given from outside (N, C); zeros count as 1e-30 inside the logarithm."""
    p = np.asarray(p, dtype=np.float64)
    total: Array = (p * _floored_log(p)).sum(1)
    return -total


def modified_entropy_of_probabilities(p: NDArray[Any], labels: Labels) -> Array:
    """-(1 - p_y) log p_y - sum_{i != y} p_i log(1 - p_i) (N,) of probabilities given from outside (N, C).

    Song and Mittal (USENIX Security 2021, arXiv:2003.10595). Logarithms are of 1e-30 or more, as in their code.
    """
    p = np.asarray(p, dtype=np.float64)
    return _modified_entropy(p, _floored_log(p), 1 - p, _floored_log(1 - p), labels)


def _modified_entropy(p: Array, log_p: Array, rest: Array, log_rest: Array, labels: Labels) -> Array:
    """As above, from p, 1 - p and their logarithms, all (N, C)."""
    y = labels[:, None]
    terms = p * log_rest
    np.put_along_axis(terms, y, np.take_along_axis(rest, y, 1) * np.take_along_axis(log_p, y, 1), 1)
    total: Array = terms.sum(1)
    return -total


def _log_sum_of_others(z: Array, index: Labels) -> Array:
    """The logsumexp of each row of z (N, C) without one entry (N,)."""
    others = z.copy()
    np.put_along_axis(others, index[:, None], -np.inf, 1)
    largest: Array = others.max(1)
    total: Array = np.exp(others - largest[:, None]).sum(1)
    return largest + np.log(total)


def _floored_log(p: Array) -> Array:
    log_p: Array = np.log(np.maximum(p, FLOOR))
    return log_p
