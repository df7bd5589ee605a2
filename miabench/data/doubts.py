"""Columns that may be no feature, or another than they seem: row numbers, identifiers, codes, numbers with units."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from miabench.data.cells import is_number, listed, same_letters

COUNTED = 10  # rows from which numbers that count them are told from a feature
DIFFERENT = 20  # rows from which whole numbers that all differ are doubted
NAMELESS = "it has no name"
MERGED = 0.05  # share of a column's values that float32 may take for another one
FAR = 10  # times the next largest value, from which a number of nines may be a code
WITH_UNIT = re.compile(r"([^\w\s.,+-]*)\s*([+-]?[\d.,]*\d)\s*([^\W\d]*|[^\w\s.,+-]*)")  # $4.50, 45%, 3 kg; not Q1
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


def doubts_about_texts(values: Sequence[str]) -> Iterator[str]:
    """What should be looked at in the categories that a column of text has."""
    if alike := same_letters(values):
        yield f"differ only in capitals, spaces or accents' encoding: {listed(alike)}"
    if unit := unit_of(values):
        yield f"numbers with {unit}, taken as categories: write them without"


def unit_of(values: Sequence[str]) -> str:
    """What stands beside the number in each of three texts or more, such as % or $; empty where they are no numbers."""
    found = [one for value in values if (one := WITH_UNIT.fullmatch(value)) and is_number(one[2])]
    units = {one[1] or one[3] for one in found}
    return units.pop() if len(found) == len(values) > 2 and len(units) == 1 else ""
