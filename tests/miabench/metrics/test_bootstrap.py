"""The crossed bootstrap against weighted twins, and its coverage of a known truth."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from miabench import metrics
from miabench.metrics import bootstrap


def runs_on_shared_records(rng, runs=5, records=120, spread=0.0):
    """Scores (R, N) whose records keep two thirds of their variance in every run, and membership (N,).

    The members' shift is 1 with a standard deviation `spread` over runs; each score's variance is 1.
    """
    members = np.arange(records) < records // 2
    shift = 1 + spread * rng.normal(size=(runs, 1))
    record = math.sqrt(2 / 3) * rng.normal(size=records)
    return shift * members + record + math.sqrt(1 / 3) * rng.normal(size=(runs, records)), members


def true_auc(spread):
    """Φ(shift / √2), averaged over the runs' shifts."""
    return norm.cdf(1 / math.sqrt(2 + spread**2))


def width(estimate):
    return estimate.high - estimate.low


def within(covered, trials, nominal=0.95):
    return abs(covered - nominal) < 3 * math.sqrt(nominal * (1 - nominal) / trials)


# --- the draws ---


def test_records_are_drawn_within_their_kind():
    members = np.random.default_rng(0).random(50) < 0.3
    (drawn,) = bootstrap.record_draws(members, 400, seed=0)
    assert drawn.shape == (50, 400)
    assert (drawn[members].sum(0) == members.sum()).all()
    assert (drawn[~members].sum(0) == (~members).sum()).all()
    assert drawn.mean(1) == pytest.approx(np.ones(50), abs=0.2)
    assert drawn.var() == pytest.approx(1, abs=0.1)  # about Poisson


def test_draws_do_not_depend_on_the_chunks(monkeypatch):
    members = np.arange(30) < 12
    at_once = np.concatenate(list(bootstrap.record_draws(members, 20, seed=3)), axis=1)
    monkeypatch.setattr(bootstrap, "CHUNK", 30 * 7)
    chunks = list(bootstrap.record_draws(members, 20, seed=3))
    assert [chunk.shape[1] for chunk in chunks] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), at_once)


def test_draws_that_are_kept_are_those_that_are_not(monkeypatch):
    members = np.arange(30) < 12
    (kept,) = bootstrap.record_draws(members, 20, seed=3)
    assert next(bootstrap.record_draws(members, 20, seed=3)).base is kept.base
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1
    monkeypatch.setattr(bootstrap, "MOST_KEPT", 30 * 20 - 1)
    (fresh,) = bootstrap.record_draws(members, 20, seed=3)
    np.testing.assert_array_equal(fresh, kept)


def test_more_replicates_begin_with_the_same_ones():
    scores, members = runs_on_shared_records(np.random.default_rng(0))
    few, many = (bootstrap.replicate_aucs(scores, members, replicates) for replicates in (10, 30))
    np.testing.assert_array_equal(few, many[:10])


def test_the_seed_changes_the_draws():
    scores, members = runs_on_shared_records(np.random.default_rng(0))
    assert bootstrap.crossed_auc(scores, members, seed=0) == bootstrap.crossed_auc(scores, members, seed=0)
    assert bootstrap.crossed_auc(scores, members, seed=0) != bootstrap.crossed_auc(scores, members, seed=1)


def test_runs_are_drawn_with_replacement():
    shares = bootstrap.run_shares(5, 2000, seed=0)
    assert shares.sum(1) == pytest.approx(np.ones(2000))
    assert shares.mean(0) == pytest.approx(np.full(5, 0.2), abs=0.02)
    assert shares.var(0) == pytest.approx(np.full(5, 0.2 * 0.8 / 5), rel=0.15)
    assert (bootstrap.run_shares(1, 10, seed=0) == 1).all()
    assert (bootstrap.run_shares(5, 2000, seed=1) != shares).any()


# --- replicates ---


@pytest.mark.parametrize("decimals", [0, 8])
def test_replicates_are_weighted_aucs_with_ties_averaged(decimals):
    rng = np.random.default_rng(1)
    scores = np.stack([runs_on_shared_records(rng, runs=3, records=60)[0] for _ in range(2)]).round(decimals)
    members = np.arange(60) < 30
    shuffle = rng.permutation(60)
    scores, members = scores[:, :, shuffle], members[shuffle]
    result = bootstrap.replicate_aucs(scores, members, replicates=15, seed=4)
    assert result.shape == (15, 2)
    drawn = np.concatenate(list(bootstrap.record_draws(members, 15, seed=4)), axis=1)
    shares = bootstrap.run_shares(3, 15, seed=4)
    for b in range(15):
        for attack in range(2):
            runs = [roc_auc_score(members, run, sample_weight=drawn[:, b]) for run in scores[attack]]
            assert result[b, attack] == pytest.approx(shares[b] @ runs, rel=1e-12)


def test_sums_of_many_records_do_not_overflow():
    members = np.arange(66_000) < 33_000  # twice the number of pairs is above 2**31
    scores = members.astype(float)
    scores[-1] = 1  # ties with all members
    (drawn,) = bootstrap.record_draws(members, 2, seed=0)
    found = bootstrap.replicate_aucs(scores[None], members, 2)
    np.testing.assert_allclose(found, 1 - drawn[-1] / 66_000, rtol=1e-12)


def test_replicate_means_are_weighted_means():
    values = np.random.default_rng(2).random((3, 40))
    drawn = np.concatenate(list(bootstrap.record_draws(np.ones(40, dtype=bool), 15, seed=5)), axis=1)
    shares = bootstrap.run_shares(3, 15, seed=5)
    expected = [shares[b] @ [np.average(run, weights=drawn[:, b]) for run in values] for b in range(15)]
    np.testing.assert_allclose(bootstrap.replicate_means(values, 15, seed=5), expected, rtol=1e-12)


def test_the_maximum_over_attacks_is_taken_inside_replicates():
    scores, members = runs_on_shared_records(np.random.default_rng(3))
    weak = scores - 0.9 * members
    together = bootstrap.replicate_aucs(np.stack([weak, scores]), members, 50)
    np.testing.assert_array_equal(together[:, 1], bootstrap.replicate_aucs(scores, members, 50))
    np.testing.assert_array_equal(together.max(axis=1), together[:, 1])


# --- estimates ---


def test_values_are_means_over_runs():
    scores, members = runs_on_shared_records(np.random.default_rng(4))
    aucs = [roc_auc_score(members, run) for run in scores]
    assert bootstrap.crossed_auc(scores, members).value == pytest.approx(np.mean(aucs), rel=1e-12)
    assert bootstrap.crossed_auc_difference(scores, -scores[:2], members).value == pytest.approx(
        np.mean(aucs) - (1 - np.mean(aucs[:2])), rel=1e-12
    )
    correct = scores > 0.5
    assert bootstrap.crossed_mean(correct).value == pytest.approx(correct.mean(), rel=1e-12)
    assert bootstrap.crossed_mean_difference(correct, correct[:2]).value == pytest.approx(
        correct.mean() - correct[:2].mean(), rel=1e-12
    )


def test_one_run_draws_records_only():
    scores, members = runs_on_shared_records(np.random.default_rng(5), runs=1, records=1000)
    crossed, delong = bootstrap.crossed_auc(scores, members), metrics.auc(scores[0], members)
    assert crossed == pytest.approx(delong, abs=0.004)
    correct = scores > 0.5
    assert bootstrap.crossed_mean(correct) == pytest.approx(metrics.accuracy(correct[0]), abs=0.004)


def test_identical_runs_add_nothing():
    scores, members = runs_on_shared_records(np.random.default_rng(6), runs=1)
    assert bootstrap.crossed_auc(scores.repeat(5, axis=0), members) == pytest.approx(
        bootstrap.crossed_auc(scores, members), rel=1e-12
    )


@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_crossed_interval_covers_the_true_auc(spread):
    rng = np.random.default_rng(7)
    trials, truth = 200, true_auc(spread)
    covered = by_t = 0
    for _ in range(trials):
        scores, members = runs_on_shared_records(rng, spread=spread)
        _, low, high = bootstrap.crossed_auc(scores, members, replicates=200)
        covered += low <= truth <= high
        aucs = [metrics.auc(run, members).value for run in scores]
        by_t += abs(np.mean(aucs) - truth) <= t.ppf(0.975, 4) * np.std(aucs, ddof=1) / math.sqrt(5)
    assert within(covered / trials, trials)
    if spread == 0:
        assert by_t / trials < 0.85  # the spread over runs knows nothing of the records they share


def test_crossed_interval_covers_the_true_accuracy():
    rng = np.random.default_rng(8)
    trials, truth = 200, 0.8
    covered = 0
    for _ in range(trials):
        record, own = rng.normal(size=150), rng.normal(size=(5, 150))
        correct = math.sqrt(2 / 3) * record + math.sqrt(1 / 3) * own < norm.ppf(truth)
        _, low, high = bootstrap.crossed_mean(correct, replicates=200)
        covered += low <= truth <= high
    assert within(covered / trials, trials)


def test_crossed_interval_covers_the_true_difference():
    rng = np.random.default_rng(9)
    trials, spread = 200, 0.1
    truth = true_auc(spread) - norm.cdf(0.6 / math.sqrt(2 + 2 * 0.3**2 + spread**2))
    covered = 0
    for _ in range(trials):
        scores, members = runs_on_shared_records(rng, spread=spread)
        other = scores - 0.4 * members + 0.3 * rng.normal(size=scores.shape)
        _, low, high = bootstrap.crossed_auc_difference(scores, other, members, replicates=200)
        covered += low <= truth <= high
    assert within(covered / trials, trials)


def test_permuted_membership_covers_one_half():
    rng = np.random.default_rng(10)
    trials = 200
    scores, members = runs_on_shared_records(rng)
    estimates = (bootstrap.crossed_auc(scores, rng.permutation(members), replicates=200) for _ in range(trials))
    assert within(np.mean([e.low <= 0.5 <= e.high for e in estimates]), trials)


def test_difference_of_identical_runs_is_exactly_zero():
    scores, members = runs_on_shared_records(np.random.default_rng(11))
    drawn = bootstrap.replicate_aucs(scores, members) - bootstrap.replicate_aucs(scores.copy(), members)
    assert (drawn == 0).all()
    assert bootstrap.crossed_auc_difference(scores, scores.copy(), members) == (0, 0, 0)
    correct = scores > 0.5
    assert bootstrap.crossed_mean_difference(correct, correct.copy()) == (0, 0, 0)


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(12)
    scores, members = runs_on_shared_records(rng, spread=0.2)
    better = scores + 0.2 * members
    paired = bootstrap.crossed_auc_difference(better, scores, members)
    unpaired = bootstrap.replicate_aucs(better, members, seed=0) - bootstrap.replicate_aucs(scores, members, seed=1)
    assert width(paired) < 0.3 * width(bootstrap.percentile_interval(paired.value, unpaired))
    unpaired_runs = bootstrap.crossed_auc_difference(np.concatenate([better, better]), scores, members)
    assert width(paired) < 0.7 * width(unpaired_runs)
    correct, fewer = better > 0.5, scores > 0.5
    assert width(bootstrap.crossed_mean_difference(correct, fewer)) < 0.7 * width(bootstrap.crossed_mean(correct))


def test_perfection_is_not_certain():
    members = np.arange(300) < 100
    assert bootstrap.crossed_auc(np.stack([members, members]), members) == pytest.approx((1, 0.025**0.01, 1))
    assert bootstrap.crossed_mean(np.ones((2, 50))) == pytest.approx((1, 0.025**0.02, 1))


# --- what is refused, and how it reads ---


def test_bad_scores_are_refused():
    members = np.arange(6) < 3
    with pytest.raises(ValueError, match=r"scores must have shape \(runs, records\), got \(6,\)"):
        bootstrap.crossed_auc(np.zeros(6), members)
    with pytest.raises(ValueError, match=r"scores must have shape \(runs, records\), got \(2, 3, 6\)"):
        bootstrap.crossed_auc_difference(np.zeros((1, 6)), np.zeros((2, 3, 6)), members)
    with pytest.raises(ValueError, match=r"expected an array of shape \(..., runs, records\), got \(6,\)"):
        bootstrap.replicate_aucs(np.zeros(6), members)
    with pytest.raises(ValueError, match=r"expected an array of shape \(..., runs, records\), got \(0, 6\)"):
        bootstrap.replicate_means(np.zeros((0, 6)))
    with pytest.raises(ValueError, match=r"one entry per record: shape \(6,\), got \(5,\)"):
        bootstrap.replicate_aucs(np.zeros((2, 5)), members)
    with pytest.raises(ValueError, match="scores must be finite"):
        bootstrap.replicate_aucs(np.full((2, 6), np.nan), members)


@pytest.mark.parametrize("values", [np.full((2, 3), 1.5), np.full((2, 3), np.nan), np.ones(3), np.ones((0, 3))])
def test_bad_values_are_refused(values):
    with pytest.raises(ValueError, match=r"values must be from 0 to 1 with shape \(runs, records\), got shape"):
        bootstrap.crossed_mean(values)


def test_a_difference_needs_the_same_records():
    with pytest.raises(ValueError, match="a difference needs the same records, got 4 and 5"):
        bootstrap.crossed_mean_difference(np.ones((1, 4)), np.ones((1, 5)))
