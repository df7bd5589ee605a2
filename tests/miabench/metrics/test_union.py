"""Numbers of runs with records of their own: against sums written out, the dense form, and simulated truth."""

import numpy as np
import pytest
from scipy.stats import norm

from miabench import metrics
from miabench.metrics.influence import Influences
from miabench.metrics.spread import delong


def pool(rng, models=8, records=120, shift=1.0, runs=0.3):
    """Scores and membership (R, N) of a pool: pairs of models are complementary by fair coins of each record.

    A record keeps half of its variance in all models, and models differ in how much they leak.
    """
    coins = rng.random((models // 2, records)) < 0.5
    members = np.concatenate([coins, ~coins])
    kept, noise = rng.normal(size=records), rng.normal(size=members.shape)
    shifts = shift + runs * rng.normal(size=(models, 1))
    return np.sqrt(0.5) * (kept + noise) + shifts * members, members


def of_pool(make, scores, members):
    each = [make(one[None], own) for one, own in zip(scores, members, strict=True)]
    every = np.arange(scores.shape[1])
    return metrics.over_union(each, [every] * len(each), every)


# --- values ---


def test_influences_are_sums_over_pairs_written_out():
    """Moving a record's weight by e moves the AUC by e times psi: its share of wins less the mean, by its kind."""
    rows = [np.array([1, 4, 5, 9]), np.array([0, 4, 9, 12, 13])]
    scores = [np.array([3.0, 1.0, 2.0, 2.0]), np.array([5.0, 2.0, 4.0, 1.0, 4.0])]
    members = [np.array([True, True, False, False]), np.array([True, False, True, False, False])]
    union = np.array([0, 1, 4, 5, 9, 12, 13])
    each = [metrics.auc_influences(one[None], own) for one, own in zip(scores, members, strict=True)]
    found = metrics.over_union(each, rows, union)
    for r in range(2):
        inside, outside = rows[r][members[r]], rows[r][~members[r]]
        score = dict(zip(rows[r].tolist(), scores[r].tolist(), strict=True))
        wins = {(i, j): 0.5 * ((score[i] > score[j]) + (score[i] >= score[j])) for i in inside for j in outside}
        auc = sum(wins.values()) / len(wins)
        expected = np.zeros(len(union))
        for at, row in enumerate(union):
            if row in inside:
                expected[at] = (np.mean([wins[row, j] for j in outside]) - auc) / len(inside)
            elif row in outside:
                expected[at] = (np.mean([wins[i, row] for i in inside]) - auc) / len(outside)
        assert found.values[r] == pytest.approx(auc)
        np.testing.assert_allclose(found.records[r] - found.values[r], len(union) * expected, atol=1e-12)
    assert found.members.all()
    assert found.fewest == 2


def test_the_rarer_kind_is_that_of_the_run_with_fewest():
    rng = np.random.default_rng(0)
    members = [np.arange(20) < size for size in (9, 17, 12)]
    each = [metrics.auc_influences(rng.normal(size=(1, 20)), own) for own in members]
    every = np.arange(20)
    assert metrics.over_union(each, [every] * 3, every).fewest == 3


def test_rooms_for_error_and_own_thresholds_are_kept():
    rng = np.random.default_rng(1)
    scores, members = pool(rng, models=4, records=500)
    each = [metrics.tpr_influences(one[None], own, 0.05) for one, own in zip(scores, members, strict=True)]
    every = np.arange(500)
    found = metrics.over_union(each, [every] * 4, every)
    assert found.own_threshold
    assert found.over.tolist() == [one.over[0] for one in each]
    assert found.over.max() > 0
    mixed = [each[0]._replace(own_threshold=False, under=np.array([0.1])), *each[1:]]
    again = metrics.over_union(mixed, [every] * 4, every)
    assert again.own_threshold
    assert again.under[0] == 0.1


@pytest.mark.parametrize("metric", ["auc", "tpr", "accuracy"])
def test_where_all_runs_share_records_it_is_the_dense_form_but_for_the_divisors(metric):
    rng = np.random.default_rng(2)
    members = np.arange(300) < 120
    scores = rng.normal(size=300) + rng.normal(size=(5, 300)) + members * (1 + 0.3 * rng.normal(size=(5, 1)))
    make = {
        "auc": metrics.auc_influences,
        "tpr": lambda one, own: metrics.tpr_influences(one, own, 0.1),
        "accuracy": lambda one, own: metrics.balanced_accuracy_influences(one > 0.5, own),
    }[metric]
    dense = make(scores, members)
    union = of_pool(make, scores, np.tile(members, (5, 1)))
    assert union.values == pytest.approx(dense.values)
    low, high = metrics.mean_over_runs(dense)[1:]
    assert metrics.mean_over_runs(union)[1:] == pytest.approx((low, high), abs=0.02 * (high - low))
    # var(N psi) / N has N - 1 for a divisor, DeLong's m - 1 and n - 1
    parts = [dense.records.mean(axis=0)[kind].var() / kind.sum() for kind in (members, ~members)]
    assert delong(union.records.mean(axis=0), union.kinds) == pytest.approx(sum(parts) * 300 / 299, rel=1e-9)


def test_a_difference_is_paired_by_record():
    """The same noise in both: a difference of two pools has a far narrower interval than either."""
    rng = np.random.default_rng(3)
    scores, members = pool(rng)
    a, b = (of_pool(metrics.auc_influences, one, members) for one in (scores, scores - 0.1 * members))
    width = np.subtract(*metrics.difference(a, b)[2:0:-1])
    assert width < 0.3 * np.subtract(*metrics.mean_over_runs(a)[2:0:-1])


def test_stacked_numbers_are_those_of_each_attack():
    rng = np.random.default_rng(4)
    members = np.arange(40) < 20
    parts = [metrics.auc_influences(rng.normal(size=(3, 40)) + members, members) for _ in range(2)]
    found = metrics.stacked(parts)
    assert found.values.shape == (2, 3)
    for k, part in enumerate(parts):
        np.testing.assert_array_equal(found.pick(k).records, part.records)
        np.testing.assert_array_equal(found.pick(k).over, part.over)
    assert found.rarer is None
    sparse = [part._replace(rarer=rarer) for part, rarer in zip(parts, (7, 5), strict=True)]
    assert metrics.stacked(sparse).fewest == 5
    assert metrics.stacked([parts[0], parts[1]._replace(own_threshold=True)]).own_threshold


def test_numbers_on_other_records_are_not_stacked():
    rng = np.random.default_rng(5)
    members = np.arange(40) < 20
    one = metrics.auc_influences(rng.normal(size=(3, 40)), members)
    for scores, own in (
        (rng.normal(size=(2, 40)), members),
        (rng.normal(size=(3, 40)), ~members | (np.arange(40) < 3)),
    ):
        with pytest.raises(ValueError, match="same runs and records"):
            metrics.stacked([one, metrics.auc_influences(scores, own)])


# --- coverage of a known truth ---

TRIALS = 300


def covered(make, truth, seed, records):
    """In how many of the trials the 95% interval of the mean over 8 models holds the truth."""
    rng, hits = np.random.default_rng(seed), 0
    for _ in range(TRIALS):
        found = metrics.mean_over_runs(of_pool(make, *pool(rng, records=records)))
        hits += found.low <= truth <= found.high
    return hits / TRIALS


@pytest.fixture(scope="module")
def shifts():
    """Of many models: how much each leaks."""
    return 1 + 0.3 * norm.ppf((np.arange(4000) + 0.5) / 4000)


def test_the_interval_of_an_auc_over_a_pool_covers(shifts):
    truth = norm.cdf(shifts / np.sqrt(2)).mean()
    assert 0.9 <= covered(metrics.auc_influences, truth, seed=6, records=150) <= 0.995


def test_the_interval_of_a_true_positive_rate_over_a_pool_covers(shifts):
    truth = norm.sf(norm.isf(0.1) - shifts).mean()
    assert 0.9 <= covered(lambda one, own: metrics.tpr_influences(one, own, 0.1), truth, seed=7, records=300) <= 1


def test_where_models_do_not_vary_it_covers_too():
    rng, hits, truth = np.random.default_rng(8), 0, norm.cdf(1 / np.sqrt(2))
    for _ in range(TRIALS):
        found = metrics.mean_over_runs(of_pool(metrics.auc_influences, *pool(rng, records=150, runs=0.0)))
        hits += found.low <= truth <= found.high
    assert 0.9 <= hits / TRIALS <= 0.995


def test_a_single_record_of_a_kind_leaves_all_open():
    one = Influences(np.array([0.5]), np.array([[0.5, 0.5]]), np.array([True, False]), np.zeros(1), np.zeros(1))
    found = metrics.over_union([one], [np.arange(2)], np.arange(2))
    assert metrics.mean_over_runs(found) == (0.5, 0, 1)
