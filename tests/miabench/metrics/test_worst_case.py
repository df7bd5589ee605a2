"""The worst case over attacks: against what is known in closed form, and against simulated truth."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from miabench import metrics
from miabench.metrics.spread import spread

TRIALS = 200
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / TRIALS)


def attacks(rng, shifts, runs=3, records=200, spread=0.0):
    """Scores (K, R, N) of unrelated attacks, half of whose variance their records keep, and membership."""
    members = np.arange(records) < records // 2
    count = len(shifts)
    moved = np.reshape(shifts, (-1, 1, 1)) + spread * rng.normal(size=(count, runs, 1))
    noise = rng.normal(size=(count, 1, records)) + rng.normal(size=(count, runs, records))
    return moved * members + noise / math.sqrt(2), members


def expected_interval(influences, quantile):
    """The ends that are written, for a known z*."""
    parts = spread(influences)
    q, i = parts.runs.mean(), parts.interaction.mean()
    v = parts.records + max(0, q - i)
    lows, highs = [], []
    runs, fewest = influences.runs, influences.fewest
    for k, theta in enumerate(influences.values.mean(1)):
        d = parts.records[k]
        nu = max(runs - 1, v[k] ** 2 / (q**2 / (runs - 1) + d**2 / (fewest - 1)))
        for level, found in ((norm.cdf(quantile), lows), (0.975, highs)):
            h = max(t.ppf(level, nu) * math.sqrt(v[k]), t.ppf(level, runs - 1) * math.sqrt(q))
            sign = -1 if found is lows else 1
            found.append(1 / (1 + math.exp(-(math.log(theta / (1 - theta)) + sign * h / (theta * (1 - theta))))))
    return max(lows), max(highs)


def test_one_attack_is_its_mean():
    scores, members = attacks(np.random.default_rng(0), [1.0])
    influences = metrics.auc_influences(scores, members)
    assert metrics.worst_of(influences) == (*metrics.mean_over_runs(influences.pick(0)), 0, 1)


def test_unrelated_attacks_have_the_quantile_of_a_largest_normal_number():
    """Of K unrelated attacks the largest is below z with probability Phi(z)^K."""
    scores, members = attacks(np.random.default_rng(1), [1.0] * 6, records=4000)
    influences = metrics.auc_influences(scores, members)
    _, low, high, _, _ = metrics.worst_of(influences)
    quantile = norm.ppf(0.975 ** (1 / 6))
    wanted = expected_interval(influences, quantile)
    assert high == pytest.approx(wanted[1], abs=1e-9)
    near, far = (expected_interval(influences, quantile + off)[0] for off in (0.1, -0.1))  # 2,000 draws
    assert near < low < far
    assert far < expected_interval(influences, norm.ppf(0.975))[0]


def test_an_attack_counted_twice_corrects_nothing():
    """Correlations matter: K equal columns are one attack."""
    scores, members = attacks(np.random.default_rng(2), [1.0])
    influences = metrics.auc_influences(scores.repeat(8, axis=0), members)
    value, low, high, _, count = metrics.worst_of(influences)
    single = metrics.mean_over_runs(influences.pick(0))
    assert count == 8
    assert value == pytest.approx(single.value, abs=0.003)
    assert (low, high) == pytest.approx(expected_interval(influences, norm.ppf(0.975)), abs=0.01)


def test_the_strongest_attack_is_named_whatever_the_order():
    scores, members = attacks(np.random.default_rng(3), [0.2, 1.5, 0.9])
    influences = metrics.auc_influences(scores, members)
    worst = metrics.worst_of(influences)
    assert (worst.attack, worst.attacks) == (1, 3)
    turned = metrics.worst_of(metrics.auc_influences(scores[::-1], members))
    assert turned.attack == 1
    assert turned[:3] == pytest.approx(worst[:3], abs=0.005)


def test_a_clear_winner_needs_no_correction_of_its_value():
    scores, members = attacks(np.random.default_rng(4), [2.5, 0.0, 0.0])
    influences = metrics.auc_influences(scores, members)
    assert metrics.worst_of(influences).value == pytest.approx(influences.values.mean(1).max(), abs=0.001)


def test_a_level_is_not_below_a_weaker_one_whose_attacks_it_has():
    """Among more attacks the correction takes more, also where the added ones are as strong."""
    lower = 0
    for seed in range(20):
        scores, members = attacks(np.random.default_rng(seed), [0.5] * 6, records=60)
        few, many = (metrics.worst_of(metrics.auc_influences(scores[:count], members)) for count in (3, 6))
        level = metrics.at_least(many, few)
        assert level.value == max(few.value, many.value)
        assert (level.low, level.high) == (many.low, max(many.high, few.high))
        assert level.low <= level.value <= level.high
        assert (level.attack, level.attacks) == (many.attack, 6)
        lower += many.value < few.value
    assert lower > 0


def test_the_value_is_within_the_interval_and_not_above_the_largest():
    for seed in range(20):
        scores, members = attacks(np.random.default_rng(seed), [0.5] * 5, runs=1 + seed % 4, records=60)
        influences = metrics.auc_influences(scores, members)
        value, low, high, _, _ = metrics.worst_of(influences)
        assert low <= value <= high
        assert value < influences.values.mean(1).max() + 0.003


def test_an_unsure_attack_below_a_sure_one():
    """The sure one's lower end holds, whatever the other might be; the other's upper end is the worst case's."""
    rng = np.random.default_rng(12)
    members = np.arange(2000) < 1000
    deviations = np.array([0.002, 2.5])
    influences = metrics.Influences(
        np.array([[0.90], [0.85]]),
        deviations[:, None, None] * rng.normal(size=(2, 1, 2000)),
        members,
        np.zeros((2, 1)),
        np.zeros((2, 1)),
    )
    sure, unsure = (metrics.mean_over_runs(influences.pick(k)) for k in (0, 1))
    value, low, high, attack, _ = metrics.worst_of(influences)
    assert attack == 0
    assert sure.low - 0.001 < low <= sure.low
    assert high == pytest.approx(unsure.high)
    assert value == low  # the correction alone would go below: the other's noise is large


def test_a_perfect_attack_among_others():
    scores, members = attacks(np.random.default_rng(5), [1.0, 1.0])
    scores[1] = members
    worst = metrics.worst_of(metrics.auc_influences(scores, members))
    assert worst[0] == pytest.approx(1, abs=1e-6)
    assert (worst.high, worst.attack) == (1, 1)
    assert 0.9 < worst.low < 0.99  # none of 100 members was found by chance


def test_attacks_that_find_nobody():
    members = np.arange(400) < 200
    worst = metrics.worst_of(metrics.tpr_influences(np.zeros((3, 2, 400)), members, 0.01))
    assert worst[:2] == (0, 0)
    assert worst.high == pytest.approx(1 - 0.025 ** (1 / 200))


def test_one_member_leaves_all_open():
    members = np.arange(9) < 1
    worst = metrics.worst_of(metrics.auc_influences(np.random.default_rng(0).normal(size=(2, 3, 9)), members))
    assert worst[1:3] == (0, 1)


# --- differences ---


def test_the_difference_of_single_attacks_is_the_paired_difference():
    scores, members = attacks(np.random.default_rng(6), [1.0, 0.6])
    a, b = (metrics.auc_influences(scores[k : k + 1], members) for k in (0, 1))
    assert metrics.difference(metrics.strongest(a), metrics.strongest(b)) == metrics.difference(a.pick(0), b.pick(0))


def test_the_difference_is_that_of_the_values_shown():
    rng = np.random.default_rng(7)
    (first, members), (second, _) = (attacks(rng, [shift] * 4) for shift in (1.0, 0.5))
    a, b = (metrics.auc_influences(scores, members) for scores in (first, second))
    found, turned = (metrics.difference(*map(metrics.strongest, pair)) for pair in ((a, b), (b, a)))
    assert found.value == pytest.approx(metrics.worst_of(a).value - metrics.worst_of(b).value, abs=1e-12)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-12)
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    strongest = metrics.difference(a.pick(metrics.worst_of(a).attack), b.pick(metrics.worst_of(b).attack))
    assert found.high - found.low > strongest.high - strongest.low  # room for both corrections


# --- simulated truth ---


@pytest.mark.parametrize("of", [metrics.auc_influences, lambda s, m: metrics.tpr_influences(s, m, 0.02)])
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_interval_covers_the_worst_case_and_the_value_is_nearer(of, spread):
    rng = np.random.default_rng(8)
    shift, auc = 1.0, of is metrics.auc_influences
    truth = norm.cdf(shift / math.sqrt(2 + spread**2))
    if not auc:
        truth = norm.cdf((shift - norm.isf(0.02)) / math.sqrt(1 + spread**2))
    found, largest = [], []
    for _ in range(TRIALS):
        influences = of(*attacks(rng, [shift] * 6, spread=spread))
        found.append(metrics.worst_of(influences))
        largest.append(influences.values.mean(1).max())
    assert np.mean([one.low <= truth <= one.high for one in found]) > LEAST
    curse = np.mean(largest) - truth
    assert curse > 0.02
    assert 0 < np.mean([one.value for one in found]) - truth < 0.75 * curse


def test_the_interval_of_the_largest_alone_would_not_cover():
    """What the correction is for: six equal attacks, the interval of the one that came out on top."""
    rng = np.random.default_rng(9)
    truth, found = norm.cdf(1 / math.sqrt(2)), []
    for _ in range(TRIALS):
        influences = metrics.auc_influences(*attacks(rng, [1.0] * 6, runs=1))
        found.append(metrics.mean_over_runs(influences.pick(int(influences.values.mean(1).argmax()))))
    assert np.mean([one.low <= truth <= one.high for one in found]) < 0.9


def test_a_defense_with_one_strong_attack_is_not_called_better_than_many_equal_ones():
    rng = np.random.default_rng(10)
    calls = 0
    for _ in range(TRIALS):
        (one, members), (many, _) = attacks(rng, [1.0, 0, 0, 0, 0, 0], 3), attacks(rng, [1.0] * 6, 3)
        found = metrics.difference(*(metrics.strongest(metrics.auc_influences(own, members)) for own in (one, many)))
        calls += found.p < 0.05
    assert calls / TRIALS < 0.05 + 3 * math.sqrt(0.05 * 0.95 / TRIALS)
