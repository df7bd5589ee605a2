"""Labels as they stand in a file, turned into classes: no name is changed, and none merged with another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from miabench.data.cells import NUMBER, and_more, is_missing, listed, same_letters, shown, sorted_labels

MANY = 20  # classes, above which labels that are fractions, or of too few records each, are refused
FEWEST = 4  # records of a class on average: members and non-members in both halves


class Classes(NamedTuple):
    """What labels stand for.

    Attributes:
        names: C labels, sorted as numbers where all of them are, else as text.
        y: the class of each record (N,), 0 to C-1.
        notes: what should be looked at.
    """

    names: tuple[str, ...]
    y: NDArray[np.int64]
    notes: tuple[str, ...]


def classes_of(labels: Sequence[str]) -> Classes:
    """The classes of labels (N,), none of them missing."""
    names = tuple(sorted_labels(set(labels)))
    number = {name: i for i, name in enumerate(names)}
    y = np.fromiter((number[label] for label in labels), np.int64, len(labels))
    return Classes(names, y, (*_same_numbers(names), *_same_letters(names)))


def label_problems(labels: Sequence[str], places: Sequence[str]) -> Iterator[str]:
    """Why labels (N,) are no classes: some are missing, or they are a quantity or an identifier.

    Args:
        labels: as they stand in the file.
        places: of each label in words.
    """
    missing = [i for i, label in enumerate(labels) if is_missing(label)]
    if missing:
        first = missing[0]
        yield f"{places[first]}: {shown(labels[first])} where a class is expected{and_more(len(missing))}"
        return
    names = set(labels)
    fractions = all(map(NUMBER.fullmatch, names)) and any(float(name) % 1 for name in names)
    if len(names) > MANY and (fractions or len(labels) < FEWEST * len(names)):
        what = "a quantity" if fractions else "an identifier or a quantity"
        yield (
            f"{places[0]}: {len(names):,} classes for {len(labels):,} records; the label looks like {what}, no class: "
            "name another column, or put its values into a few ranges"
        )


def _same_numbers(names: Sequence[str]) -> Iterator[str]:
    """Labels that differ in how a number is written: 1 and 1.0, 501 and 00501."""
    numbers = Counter(float(name) for name in names if NUMBER.fullmatch(name))
    alike = [name for name in names if NUMBER.fullmatch(name) and numbers[float(name)] > 1]
    if alike:
        yield f"classes that differ only in how a number is written are kept apart: {listed(alike)}"


def _same_letters(names: Sequence[str]) -> Iterator[str]:
    """Labels that look alike: Yes and yes, an e with an accent in one letter or in two, two spaces for one."""
    alike = same_letters(names)
    if alike:
        yield f"classes that differ only in capitals, spaces or accents' encoding are kept apart: {listed(alike)}"
