"""Spearman's rank correlation against scipy's, its influences against derivatives, its intervals by simulation."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from miabench.metrics import over_union, rank_correlation_influences, rank_correlation_over_runs


def rho(influences):
    return 2 * influences.values[0] - 1


def drawn(rng, n, strength, levels=None):
    """Two numbers of n records, of so many levels each where they tie."""
    a, b = rng.normal(size=(2, n))
    pair = a, strength * a + np.sqrt(1 - strength**2) * b
    return pair if levels is None else tuple(np.clip(np.round(one * levels / 3), -levels, levels) for one in pair)


@pytest.mark.parametrize("levels", [None, 2, 5])
@pytest.mark.parametrize("strength", [-0.9, 0.0, 0.4, 0.99])
def test_the_value_is_scipys(strength, levels):
    rng = np.random.default_rng(0)
    for n in (20, 61, 501):
        a, b = drawn(rng, n, strength, levels)
        assert rho(rank_correlation_influences(a, b)) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def weighted(a, b, weights):
    """Spearman's rank correlation of weighted records, by all pairs."""
    share = weights / weights.sum()
    x, y = (((one[:, None] > one) + (one[:, None] == one) / 2) @ share for one in (a, b))
    x, y = (one - share @ one for one in (x, y))
    return share @ (x * y) / np.sqrt((share @ x**2) * (share @ y**2))


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("strength", [-0.6, 0.3, 0.95])
def test_an_influence_is_the_derivative_by_a_records_weight(strength, levels):
    """With weight 1 + e, a record has the share 1 / N + e / N of all, and moves the value by e V / N."""
    n, step = 60, 1e-5
    a, b = drawn(np.random.default_rng(1), n, strength, levels)
    found = rank_correlation_influences(a, b)
    for i in range(n):
        more, less = (weighted(a, b, np.where(np.arange(n) == i, 1 + e, 1)) for e in (step, -step))
        derivative = n * (more - less) / (2 * step)
        assert 2 * (found.records[0, i] - found.values[0]) == pytest.approx(derivative, abs=1e-6)


@pytest.mark.parametrize(
    ("strength", "n", "levels"), [(0.0, 100, None), (0.6, 100, None), (0.9, 300, None), (0.6, 200, 3)]
)
def test_intervals_hold_the_true_value(strength, n, levels):
    rng = np.random.default_rng(2)
    true = spearmanr(*drawn(rng, 10**6, strength, levels)).statistic
    found = [
        rank_correlation_over_runs(rank_correlation_influences(*drawn(rng, n, strength, levels))) for _ in range(400)
    ]
    held = np.mean([one.low <= true <= one.high for one in found])
    assert 0.92 <= held <= 0.98
    widths = np.mean([one.high - one.low for one in found])
    assert widths == pytest.approx(2 * 1.96 * np.std([one.value for one in found]), rel=0.15)


def test_runs_that_share_their_records_do_not_make_intervals_as_narrow_as_new_records_would():
    """Sixteen runs, hardly different: each is about the same records, and so is their mean."""
    rng = np.random.default_rng(3)
    a, b = drawn(rng, 300, 0.5)
    runs = [rank_correlation_influences(*(x + 0.01 * rng.normal(size=300) for x in (a, b))) for _ in range(16)]
    rows = np.arange(300)
    mean = rank_correlation_over_runs(over_union(runs, [rows] * 16, rows))
    one = rank_correlation_over_runs(runs[0])
    assert mean.high - mean.low == pytest.approx(one.high - one.low, rel=0.1)
    assert mean.value == pytest.approx(np.mean([rho(run) for run in runs]), abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_full_agreement_leaves_room_for_records_that_were_not_seen(sign):
    a = np.arange(50.0)
    value, low, high = rank_correlation_over_runs(rank_correlation_influences(a, sign * a))
    assert value == pytest.approx(sign)
    assert (low, high)[sign == 1] == pytest.approx(sign)
    assert 0.8 < abs((low, high)[sign == -1]) < 0.95


def test_where_all_records_tie_there_is_no_rank():
    assert rank_correlation_influences(np.ones(9), np.arange(9.0)) is None
    assert rank_correlation_influences(np.arange(9.0), np.ones(9)) is None
    assert rank_correlation_influences([1.0], [2.0]) is None


@pytest.mark.parametrize(("a", "b"), [([1.0, 2], [1.0]), ([1.0, np.nan], [1.0, 2]), ([[1.0, 2]], [[1.0, 2]])])
def test_what_is_no_pair_of_numbers_is_refused(a, b):
    with pytest.raises(ValueError, match="each record"):
        rank_correlation_influences(a, b)
