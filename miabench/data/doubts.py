"""Columns of numbers that may be no feature: row numbers, identifiers, codes for missing values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

COUNTED = 10  # rows from which numbers that count them are told from a feature
DIFFERENT = 20  # rows from which whole numbers that all differ are doubted
NAMELESS = "it has no name"
MERGED = 0.05  # share of a column's values that float32 may take for another one
FAR = 10  # times the next largest value, from which a number of nines may be a code
LOOKED_AT = 10_000  # rows, when counting different values


def row_numbers(x: NDArray[np.float64], named: bool) -> bool:
    """Whether a column (N,) numbers the rows: one more in each; without a name, any whole numbers that all differ."""
    if len(x) < COUNTED or (x % 1).any():
        return False
    return bool((np.diff(x) == 1).all()) or (not named and len(np.unique(x)) == len(x))


def doubts_about(x: NDArray[np.float64], inputs: NDArray[np.float32]) -> Iterator[str]:
    """What should be looked at in a column (N,) and in the input (N,) it becomes."""
    x, inputs = x[:LOOKED_AT], inputs[:LOOKED_AT]
    values, counts = np.unique(x, return_counts=True)
    if len(values) == len(x) >= DIFFERENT and not (x % 1).any():
        yield "all values differ: an identifier or a time?"
    if len(np.unique(inputs)) < (1 - MERGED) * len(values):
        yield f"{len(values):,} different numbers become {len(np.unique(inputs)):,} in float32: some are too far out"
    for value, count, next_one in ((values[-1], counts[-1], values[:-1]), (values[0], counts[0], values[1:])):
        nines = value % 1 == 0 and set(f"{abs(value):.0f}") == {"9"} and abs(value) > 100
        if nines and count > 1 and abs(value) >= FAR * np.abs(next_one).max(initial=0):
            yield f"{count:,} times {value:.0f}: a code for missing values? Leave those cells empty"
