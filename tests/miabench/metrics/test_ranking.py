"""AUC, TPR and TNR of one model against slow twins, hand-worked numbers, and simulated coverage."""

import math

import numpy as np
import pytest
from scipy.stats import beta, norm
from sklearn.metrics import roc_auc_score, roc_curve

from miabench import metrics


def binormal(rng, members, others, area):
    """Normal scores whose true AUC is `area`, in shuffled order."""
    is_member = rng.permutation(np.arange(members + others) < members)
    return rng.normal(size=len(is_member)) + is_member * norm.ppf(area) * math.sqrt(2), is_member


def tied(rng, records=300):
    """Scores of 12 distinct values."""
    is_member = rng.random(records) < 0.4
    return np.round(rng.normal(size=records) + is_member, 0) / 2, is_member


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


# --- AUC ---


def test_auc_by_hand():
    # Pairs won by a member: 1 of (2, 0), 3 and 4 of both: 5 of 6. Components: members ½, 1, 1 (variance 1/12),
    # non-members 2/3, 1 (variance 1/18); error² = 1/36 + 1/36. logit(5/6) = 1.6094, step = 1.96 * 0.2357 / (5/36).
    # The lower limit is lower still by the two disjoint pairs: 5/6 * sqrt(0.025).
    estimate = metrics.auc([1, 3, 4, 2, 0], [True, True, True, False, False])
    assert estimate == pytest.approx((5 / 6, 5 / 6 * math.sqrt(0.025), 0.99287), abs=1e-5)


@pytest.mark.parametrize("make", [tied, lambda rng: binormal(rng, 80, 130, 0.7)])
def test_auc_equals_its_quadratic_twin(make):
    scores, members = make(np.random.default_rng(1))
    wins = (np.sign(scores[members][:, None] - scores[~members]) + 1) / 2  # (m, n)
    m, n = wins.shape
    value = wins.mean()
    error = math.sqrt(wins.mean(1).var(ddof=1) / m + wins.mean(0).var(ddof=1) / n)
    odds = value / (1 - value) * np.exp(np.array([-1, 1]) * norm.ppf(0.975) * error / (value * (1 - value)))
    estimate = metrics.auc(scores, members)
    assert estimate == pytest.approx((value, *(odds / (1 + odds))), rel=1e-12)
    assert estimate.value == pytest.approx(roc_auc_score(members, scores), rel=1e-12)


def test_larger_scores_mean_member():
    scores, members = tied(np.random.default_rng(2))
    estimate, swapped = metrics.auc(scores, members), metrics.auc(-scores, members)
    assert estimate.value > 0.6
    assert swapped == pytest.approx((1 - estimate.value, 1 - estimate.high, 1 - estimate.low), abs=1e-12)
    assert metrics.auc(scores, ~members) == pytest.approx(swapped, abs=1e-12)


@pytest.mark.parametrize(("area", "size"), [(0.5, 60), (0.8, 100), (0.95, 100), (0.99, 30), (0.999, 30)])
def test_auc_interval_covers_the_true_auc(area, size):
    rng = np.random.default_rng(3)
    trials = 600
    covered = np.mean([covers(metrics.auc(*binormal(rng, size, 2 * size, area)), area) for _ in range(trials)])
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials) < covered < 0.99


def test_perfect_separation_has_the_interval_of_that_many_pairs():
    members = np.arange(300) < 100
    exact = beta.ppf(0.025, 100, 1)  # Clopper-Pearson, 100 of 100
    assert metrics.auc(members.astype(float), members) == pytest.approx((1, exact, 1), rel=1e-12)
    assert metrics.auc(-members.astype(float), members) == pytest.approx((0, 0, 1 - exact), rel=1e-12)


def test_equal_scores_have_an_interval_with_width():
    estimate = metrics.auc(np.zeros(40), np.arange(40) < 20)
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.5 * 0.025 ** (1 / 20))
    assert estimate.high == pytest.approx(1 - estimate.low)


def test_one_member_leaves_the_auc_open():
    assert metrics.auc([1.0, 0.0, 3.0], [True, False, False]) == (0.5, 0.0, 1.0)


# --- TPR at a fixed FPR ---


def tpr_from_the_roc_curve(scores, members, fpr):
    """The last point with FPR <= fpr of scikit-learn's full curve."""
    false, true, _ = roc_curve(members, scores, drop_intermediate=False)
    return true[false <= fpr + 1e-12][-1]


@pytest.mark.parametrize("make", [tied, lambda rng: binormal(rng, 80, 130, 0.7)])
@pytest.mark.parametrize("fpr", [0.01, 0.02, 0.1, 0.3, 0.9])
def test_tpr_is_the_last_achievable_point(make, fpr):
    scores, members = make(np.random.default_rng(4))
    assert metrics.tpr_at_fpr(scores, members, fpr).value == pytest.approx(
        tpr_from_the_roc_curve(scores, members, fpr), abs=1e-12
    )


def test_tpr_takes_whole_blocks_of_ties():
    # One false positive allowed. Three records at 5: taking them would admit two non-members, so only 9 and 7 are in.
    scores = [9, 5, -1, -1, 7, 5, 5] + [0] * 7
    members = [True, True, True, True] + [False] * 10
    assert metrics.tpr_at_fpr(scores, members, 0.1).value == 1 / 4
    assert metrics.tpr_at_fpr(scores, members, 0.3).value == 1 / 2


@pytest.mark.parametrize(("fpr", "n"), [(0.01, 100), (0.07, 100), (0.29, 100), (0.001, 3000), (0.1, 30)])
def test_rounding_of_the_fpr_loses_no_false_positive(fpr, n):
    allowed = round(fpr * n)
    others = np.arange(n, 0, -1.0)
    # the best member is below `allowed` non-members exactly, the other one below one more
    scores = np.concatenate([[n - allowed + 0.5, n - allowed - 0.5], others])
    members = np.arange(n + 2) < 2
    assert metrics.tpr_at_fpr(scores, members, fpr).value == 0.5


def test_tpr_needs_one_over_fpr_non_members():
    rng = np.random.default_rng(5)
    assert metrics.tpr_at_fpr(*binormal(rng, 50, 99, 0.7), 0.01) is None
    assert metrics.tpr_at_fpr(*binormal(rng, 50, 100, 0.7), 0.01) is not None


def test_tpr_interval_covers_the_true_rate():
    rng = np.random.default_rng(8)
    truth = norm.sf(norm.isf(0.05) - norm.ppf(0.8) * math.sqrt(2))
    trials = 400
    drawn = (metrics.tpr_at_fpr(*binormal(rng, 400, 800, 0.8), 0.05) for _ in range(trials))
    covered = np.mean([covers(estimate, truth) for estimate in drawn])
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials) < covered < 0.995


def test_tpr_of_one_is_not_certain():
    members = np.arange(5100) < 100
    estimate = metrics.tpr_at_fpr(members.astype(float), members, 0.01)
    assert estimate == pytest.approx((1, 0.025 ** (1 / 100), 1))


def test_few_non_members_leave_open_what_lies_above_all_of_them():
    """Of 200, 13% of samples hold none of the largest 1%: the threshold of the population may be higher than all."""
    members = np.arange(300) < 100
    assert metrics.tpr_at_fpr(members.astype(float), members, 0.01).low < 0.9


@pytest.mark.parametrize("fpr", [0, 1, -0.1, 5])
def test_fpr_must_be_a_fraction(fpr):
    with pytest.raises(ValueError, match=rf"fpr must be a fraction between 0 and 1 \(1% is 0.01\), got {fpr}"):
        metrics.tpr_at_fpr([0.0, 1.0], [True, False], fpr)


def test_tpr_interval_covers_with_a_few_false_positives_allowed():
    allowed, trials = 2, 400
    rng = np.random.default_rng(9)
    fpr, truth = 0.01, norm.sf(norm.isf(0.01) - norm.ppf(0.97) * math.sqrt(2))
    drawn = (metrics.tpr_at_fpr(*binormal(rng, 200, round(allowed / fpr), 0.97), fpr) for _ in range(trials))
    assert np.mean([covers(estimate, truth) for estimate in drawn]) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)


def test_tpr_interval_covers_where_ties_may_belong_to_either_side():
    """Scores in steps of 1/2: 10.6% of non-members reach 1.25, so that a sample of 500 often counts them in at 10%."""
    trials = 300
    rng = np.random.default_rng(10)
    shift = norm.ppf(0.7) * math.sqrt(2)
    truth = norm.sf(1.75 - shift)  # the next step, reached by 4.0%
    estimates = []
    for _ in range(trials):
        scores, members = binormal(rng, 500, 500, 0.7)
        estimates.append(metrics.tpr_at_fpr(np.round(2 * scores) / 2, members, 0.1))
    assert np.mean([covers(estimate, truth) for estimate in estimates]) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)
    assert np.mean([estimate.value > 1.5 * truth for estimate in estimates]) > 0.2  # they were counted in that often


# --- TNR at a fixed FNR ---


def tnr_by_exhaustion(scores, members, fnr):
    """The largest share of non-members at or below a threshold that holds at most fnr of the members."""
    found = [0.0]
    for limit in np.unique(scores):
        called_outside = scores <= limit
        if called_outside[members].mean() <= fnr + 1e-12:
            found.append(called_outside[~members].mean())
    return max(found)


@pytest.mark.parametrize("make", [tied, lambda rng: binormal(rng, 150, 90, 0.8)])
@pytest.mark.parametrize("fnr", [0.01, 0.05, 0.3])
def test_tnr_is_the_largest_within_the_rate(make, fnr):
    scores, members = make(np.random.default_rng(11))
    assert metrics.tnr_at_fnr(scores, members, fnr).value == pytest.approx(tnr_by_exhaustion(scores, members, fnr))


def test_tnr_needs_one_over_fnr_members():
    rng = np.random.default_rng(12)
    assert metrics.tnr_at_fnr(*binormal(rng, 99, 500, 0.7), 0.01) is None
    assert metrics.tnr_at_fnr(*binormal(rng, 100, 50, 0.7), 0.01) is not None
