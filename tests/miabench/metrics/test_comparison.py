"""Holm's correction, words for differences, numbers of runs, wins and losses: by hand, by twins, by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm, t

from miabench import metrics
from miabench.metrics.over_runs import Difference
from miabench.metrics.spread import Spread


def apart(value, p, runs=5, records=1e-4, over_runs=1e-4, interaction=0.0):
    parts = Spread(np.float64(records), np.float64(over_runs), np.float64(interaction), runs, 500)
    return Difference(value, value - 0.01, value + 0.01, p, parts)


# --- Holm ---


def step_down(p_values, level):
    """Which are rejected: from the smallest on, as long as each is below level / (those that are left)."""
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(order):
        if p_values[index] >= level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


@pytest.mark.parametrize("seed", range(20))
def test_corrected_p_values_are_those_of_the_step_down_procedure(seed):
    rng = np.random.default_rng(seed)
    p_values = np.round(rng.beta(0.4, 3, size=int(rng.integers(1, 12))), 3)
    corrected = metrics.holm(p_values)
    for level in (0.01, 0.05, 0.2, 0.7):
        assert (corrected < level).tolist() == step_down(p_values, level)
    assert (corrected <= 1).all()


def test_holm_by_hand():
    # 3 x 0.01, 2 x 0.03, 1 x 0.04 but not below the 0.06 before it
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([0.6, 0.9]) == pytest.approx([1, 1])
    assert metrics.holm([]).shape == (0,)


# --- words ---


def test_words_follow_the_corrected_p_value_and_the_sign():
    family = [apart(-0.05, 0.001), apart(0.05, 0.002), apart(-0.05, 0.04)]
    found = metrics.verdicts(family)
    assert [one.word for one in found] == ["lower", "higher", "lower"]
    found = metrics.verdicts([*family, apart(-0.01, 0.9)])
    assert [one.word for one in found] == ["lower", "higher", *["not distinguishable"] * 2]
    assert [one.p for one in found] == pytest.approx([0.004, 0.006, 0.08, 0.9])


@pytest.mark.parametrize(("runs", "word"), [(1, "not distinguishable"), (2, "not distinguishable"), (3, "lower")])
def test_below_three_runs_nothing_is_called_distinguishable(runs, word):
    assert metrics.verdicts([apart(-0.3, 1e-9, runs)])[0].word == word


def test_what_all_leave_open_is_not_distinguishable():
    assert metrics.verdicts([Difference(-0.5, -1.0, 1.0, 1.0, None)])[0] == ("not distinguishable", 1, None)


# --- about n runs ---


def runs_by_trying(value, records, over_runs, interaction, runs, comparisons=1):
    """The first number above the runs at hand that reaches the difference."""
    for n in range(runs + 1, 201):
        fixed, varying = max(0.0, records - interaction), runs * max(over_runs, interaction) / n
        variance = fixed + varying
        nu = max(n - 1, variance**2 / (varying**2 / (n - 1) + fixed**2 / 499))
        if abs(value) >= (t.ppf(1 - 0.025 / comparisons, nu) + t.ppf(0.8, nu)) * math.sqrt(variance):
            return n
    return None


@pytest.mark.parametrize("interaction", [0.0, 4e-5, 3e-4])
@pytest.mark.parametrize("value", [0.03, -0.04, 0.06])
@pytest.mark.parametrize("comparisons", [1, 18])
def test_runs_needed_are_found_by_trying(value, interaction, comparisons):
    one = apart(value, 0.3, 3, 5e-5, 2e-4, interaction)
    assert metrics.runs_needed(one, comparisons) == runs_by_trying(value, 5e-5, 2e-4, interaction, 3, comparisons)


def test_more_records_not_more_runs():
    one = apart(-0.01, 0.3, 3, records=1e-3)
    assert metrics.runs_needed(one) is None


def test_runs_needed_where_nothing_can_be_said():
    assert metrics.runs_needed(apart(0.0, 1.0, 3, 0.0, 0.0)) is None
    assert metrics.runs_needed(apart(-0.1, 0.3, 1)) is None
    assert metrics.runs_needed(Difference(-0.5, -1.0, 1.0, 1.0, None)) is None


def test_verdicts_say_how_many_runs_would_tell_at_their_familys_level():
    weak = apart(-0.03, 0.2, 3, 1e-5, 1e-4)
    found = metrics.verdicts([weak, apart(-0.9, 1e-6)])
    assert found[0].runs_needed == runs_by_trying(-0.03, 1e-5, 1e-4, 0, 3, comparisons=2)
    assert found[1].runs_needed is None


def example(rng, runs, records=300):
    """Two attacks whose members are shifted by 1 and by 1.15, on average over runs, and their true difference."""
    members = np.arange(records) < records // 2
    record = rng.normal(size=records)
    shifts = [mean + 0.15 * rng.normal(size=(runs, 1)) for mean in (1.0, 1.15)]
    scores = [shift * members + record + 0.7 * rng.normal(size=(runs, records)) for shift in shifts]
    a, b = (metrics.auc_influences(one, members) for one in scores)
    scale = math.sqrt(2 * (1 + 0.7**2) + 0.15**2)
    return metrics.difference(a, b), norm.cdf(1 / scale) - norm.cdf(1.15 / scale)


def test_with_so_many_runs_four_of_five_experiments_tell():
    rng, guesses = np.random.default_rng(0), []
    for _ in range(20):  # the variances as 40 runs show them, the true difference, any number of runs from 3 on
        one, truth = example(rng, runs=40)
        few = one.spread._replace(runs=one.spread.runs * 40 / 2, n_runs=2)
        guesses.append(metrics.runs_needed(one._replace(value=truth, spread=few)))
    needed = round(float(np.median(guesses)))
    told = np.mean([example(rng, needed)[0].p < 0.05 for _ in range(300)])
    assert 4 < needed < 40
    assert abs(told - 0.8) < 0.1


# --- wins, ties, losses ---


def defenses(rng, gains, runs=5, records=200):
    members = np.arange(records) < records // 2
    noise = rng.normal(size=(runs, records))
    return [metrics.auc_influences(gain * members + noise, members) for gain in gains]


def matrix_of(rows):
    pairs = {(i, j): metrics.difference(rows[i], rows[j]) for i, j in itertools.combinations(range(len(rows)), 2)}
    return metrics.win_tie_loss(len(rows), pairs)


def test_wins_ties_and_losses():
    matrix = matrix_of(defenses(np.random.default_rng(0), [0.5, 2.0, 0.5, 1.0]))
    assert matrix.tolist() == [[0, 1, 0, 1], [-1, 0, -1, -1], [0, 1, 0, 1], [-1, 1, -1, 0]]


def test_all_pairs_are_one_family():
    """A pair that differs by itself need not among many."""
    rng = np.random.default_rng(3)
    rows = [metrics.auc_influences(one + 0.2 * rng.normal(size=(3, 120)), members) for one, members in _near(rng)]
    pairs = [metrics.difference(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    alone = [one.p < 0.05 for one in pairs]
    corrected = metrics.holm([one.p for one in pairs]) < 0.05
    assert sum(alone) > sum(corrected)
    assert np.abs(matrix_of(rows)).sum() == 2 * sum(corrected)


def _near(rng):
    members = np.arange(120) < 60
    noise = rng.normal(size=(3, 120))
    return [(noise + gain * members, members) for gain in (0.5, 0.53, 0.56, 0.59, 0.8)]


def test_two_runs_make_only_ties():
    assert not matrix_of(defenses(np.random.default_rng(0), [0.5, 3.0], runs=2)).any()


def test_one_defense_has_nobody_to_beat():
    assert matrix_of(defenses(np.random.default_rng(0), [1.0])).tolist() == [[0]]


# --- the best of many ---


def test_the_best_of_many_that_do_not_differ_is_rarely_called_better():
    """Without the correction it is in one of seven experiments."""
    rng, settings, trials = np.random.default_rng(1), 18, 100
    members = np.arange(200) < 100
    better = {"holm": 0, "alone": 0}
    for _ in range(trials):
        record = rng.normal(size=200)
        rows = [
            metrics.auc_influences(
                (1 + 0.4 * rng.normal(size=(5, 1))) * members + record + rng.normal(size=(5, 200)), members
            )
            for _ in range(settings + 1)
        ]
        family = [metrics.difference(row, rows[0]) for row in rows[1:]]
        better["holm"] += any(one.word == "lower" for one in metrics.verdicts(family))
        better["alone"] += any(one.p < 0.05 and one.value < 0 for one in family)
    assert better["holm"] / trials < 0.05
    assert better["alone"] / trials > 0.1
