"""What a model answered, as logits: logits as they are, probabilities as their logarithms.

Logarithms of probabilities are logits: softmax(log p) = p for rows that sum to 1, and rows that sum to 1 but for
rounding are put right by it. So probabilities are handed to attacks as log p in float64, zeros as log 1e-30 (Song and
Mittal's floor). From there 1 - p_i is the sum of the other classes, so a float32 probability that rounded to 1 is still
ranked by what is left for the others. The probability form computes 1 - p_i by subtraction and floors it; the two agree
on the reference's values to 1e-12, but for m-entropies of records whose wrong class has a p_i within 1e-5 of 1, where
the subtraction loses digits. Of two classes the second's outputs suffice: P(y = 1), or its log odds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.logprob import FLOOR

Array = NDArray[np.float64]

FORMS = ("logits", "probabilities")
ROUNDING = 1e-3  # of one probability: services and CSV exports give three decimals
WIDEST = 0.5  # what the sum of a row may miss 1 by, however many classes there are
BINARY = 1e-9  # what a limit in decimals may miss in binary


def sum_tolerance(num_classes: int) -> float:
    """What a row of C probabilities, each rounded to three decimals, may miss 1 by: C/2 * 0.001."""
    return min(num_classes / 2 * ROUNDING, WIDEST)


def as_logits(outputs: Array, form: str, place: Callable[[int], str]) -> Array:
    """Logits (N, C) of outputs (N, C); of (N, 1) as two classes.

    Args:
        outputs: finite.
        form: `logits` or `probabilities`.
        place: where a record stands, for error messages.

    Raises:
        UserError: probabilities that are none.
    """
    alone = outputs.shape[1] == 1
    if form == "logits":
        return np.concatenate([np.zeros_like(outputs), outputs], axis=1) if alone else outputs
    _check_range(outputs, place)
    if alone:
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    _check_sums(outputs, place)
    logits: Array = np.log(np.maximum(outputs, FLOOR))
    return logits


def _check_range(p: Array, place: Callable[[int], str]) -> None:
    outside = np.argwhere((p < 0) | (p > 1 + ROUNDING + BINARY))
    if len(outside):
        where, value = place(outside[0][0]), p[tuple(outside[0])]
        percent = p.min() >= 0 and np.abs(p.sum(1) / 100 - 1).max() <= sum_tolerance(p.shape[1])
        remedy = "in percent? Divide by 100" if percent else "logits belong into an npz, as the array 'logits'"
        raise UserError(f"{where}: {value:g} is no probability; {remedy}")


def _check_sums(p: Array, place: Callable[[int], str]) -> None:
    total, tolerance = p.sum(1), sum_tolerance(p.shape[1])
    wrong = np.flatnonzero(np.abs(total - 1) > tolerance + BINARY)
    if len(wrong):
        raise UserError(
            f"{place(wrong[0])}: the probabilities sum to {total[wrong[0]]:.6g}; expected 1 within {tolerance:g}, as "
            f"{p.shape[1]} classes at three decimals may miss it: save more decimals, or logits"
        )
