"""The front against the comparison of all pairs."""

import numpy as np
import pytest

from miabench.metrics.dominance import dominates, pareto_front


@pytest.mark.parametrize("better", [(1, -1), (1, 1), (-1, -1), (-1, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_nobody_dominates(better, seed):
    points = [tuple(one) for one in np.random.default_rng(seed).integers(0, 6, (25, 2)).tolist()]
    expected = {i for i, one in enumerate(points) if not any(dominates(other, one, better) for other in points)}
    front = pareto_front(points, better)
    assert set(front) == expected
    assert len(front) == len(set(front))
    firsts = [better[0] * points[i][0] for i in front]
    assert firsts == sorted(firsts, reverse=True)


def test_equal_points_all_stay_in_their_order():
    assert pareto_front([(0.5, 0.5), (0.9, 0.6), (0.5, 0.5), (0.5, 0.7)]) == [1, 0, 2]
    assert pareto_front([]) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.9, 0.6), (0.8, 0.7), True),
        ((0.9, 0.6), (0.9, 0.7), True),
        ((0.9, 0.6), (0.8, 0.6), True),
        ((0.9, 0.6), (0.9, 0.6), False),
        ((0.9, 0.7), (0.8, 0.6), False),
        ((0.8, 0.7), (0.9, 0.6), False),
    ],
)
def test_who_dominates(one, other, expected):
    assert dominates(one, other) == expected
