"""Who beats whom in two quantities, and whom nobody beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Pair: TypeAlias = tuple[float, float]
MORE_AND_LESS = (1, -1)  # more accuracy is better, less leakage is


def dominates(one: Pair, other: Pair, better: tuple[int, int] = MORE_AND_LESS) -> bool:
    """Whether one is at least as good in both quantities and better in one.

    >>> dominates((0.9, 0.6), (0.8, 0.6)), dominates((0.9, 0.6), (0.9, 0.6)), dominates((0.9, 0.7), (0.8, 0.6))
    (True, False, False)

    Args:
        one: two quantities.
        other: the same two elsewhere.
        better: 1 where more is better, -1 where less is.
    """
    first, second = better[0] * (one[0] - other[0]), better[1] * (one[1] - other[1])
    return first >= 0 and second >= 0 and (first > 0 or second > 0)


def pareto_front(points: Sequence[Pair], better: tuple[int, int] = MORE_AND_LESS) -> list[int]:
    """Indices of the points that no other dominates, from the best in the first quantity; equal points all stay.

    >>> pareto_front([(0.8, 0.6), (0.9, 0.7), (0.8, 0.65), (0.9, 0.7)])
    [1, 3, 0]

    Args:
        points: two quantities of each.
        better: 1 where more is better, -1 where less is.
    """
    ranked = [(better[0] * x, better[1] * y) for x, y in points]
    front: list[int] = []
    for index in sorted(range(len(ranked)), key=lambda i: (-ranked[i][0], -ranked[i][1], i)):
        if not front or ranked[index] == ranked[front[-1]] or ranked[index][1] > ranked[front[-1]][1]:
            front.append(index)
    return front
