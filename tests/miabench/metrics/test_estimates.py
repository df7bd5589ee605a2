"""Metrics against slow twins, hand-worked numbers, golden vectors, and simulated or enumerated coverage."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import beta, binom, norm
from sklearn.metrics import roc_auc_score, roc_curve

from miabench import metrics

GOLDEN_ATTACKS = ("confidence", "entropy", "mentropy", "loss")


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


def test_importing_metrics_imports_no_torch():
    code = "import sys, miabench.metrics.bootstrap, miabench.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


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


@pytest.mark.parametrize("make", [tied, lambda rng: binormal(rng, 150, 200, 0.75)])
def test_tpr_interval_is_that_of_resampled_records(make):
    scores, members = make(np.random.default_rng(6))
    rng = np.random.default_rng(7)
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([rng.choice(np.flatnonzero(kind), kind.sum()) for kind in (members, ~members)])
        drawn.append(tpr_from_the_roc_curve(scores[rows], members[rows], 0.1))
    estimates = np.array([metrics.tpr_at_fpr(scores, members, 0.1, seed) for seed in range(20)])
    np.testing.assert_allclose(estimates.mean(0)[1:], np.quantile(drawn, [0.025, 0.975]), atol=0.015)
    assert len(np.unique(estimates[:, 1:], axis=0)) > 1  # the seed is used


def test_tpr_interval_covers_the_true_rate():
    rng = np.random.default_rng(8)
    truth = norm.sf(norm.isf(0.05) - norm.ppf(0.8) * math.sqrt(2))
    trials = 400
    drawn = (metrics.tpr_at_fpr(*binormal(rng, 400, 800, 0.8), 0.05) for _ in range(trials))
    covered = np.mean([covers(estimate, truth) for estimate in drawn])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / trials)


def test_tpr_of_one_is_not_certain():
    members = np.arange(300) < 100
    estimate = metrics.tpr_at_fpr(members.astype(float), members, 0.01)
    assert estimate == pytest.approx((1, 0.025 ** (1 / 100), 1))


@pytest.mark.parametrize("fpr", [0, 1, -0.1, 5])
def test_fpr_must_be_a_fraction(fpr):
    with pytest.raises(ValueError, match=rf"fpr must be a fraction between 0 and 1 \(1% is 0.01\), got {fpr}"):
        metrics.tpr_at_fpr([0.0, 1.0], [True, False], fpr)


# --- accuracies ---


def test_accuracy_by_clopper_and_pearson():
    # their limits solve P[Bin(10, low) >= 8] = 0.025 and P[Bin(10, high) <= 8] = 0.025
    estimate = metrics.accuracy(np.arange(10) < 8)
    assert estimate.value == 0.8
    assert binom.sf(7, 10, estimate.low) == pytest.approx(0.025)
    assert binom.cdf(8, 10, estimate.high) == pytest.approx(0.025)
    assert metrics.accuracy([True] * 5) == pytest.approx((1, 0.025 ** (1 / 5), 1))
    assert metrics.accuracy([False] * 5) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 5)))


def test_balanced_accuracy_by_hand():
    # TPR 3/4, TNR 1/2 of 6
    predicted = [True, True, True, False] + [True] * 3 + [False] * 3
    members = [True] * 4 + [False] * 6
    estimate = metrics.balanced_accuracy(predicted, members)
    assert estimate.value == 0.625
    tpr_low, tnr_low = beta.ppf(0.025, 3, 2), beta.ppf(0.025, 3, 4)
    tpr_high, tnr_high = beta.ppf(0.975, 4, 1), beta.ppf(0.975, 4, 3)
    half_step = (1 / 8 + 1 / 12) / 4  # half the mean of what one member and one non-member move
    assert estimate.low == pytest.approx(0.625 - math.hypot(0.75 - tpr_low, 0.5 - tnr_low) / 2 - half_step)
    assert estimate.high == pytest.approx(min(1, 0.625 + math.hypot(tpr_high - 0.75, tnr_high - 0.5) / 2 + half_step))


@pytest.mark.parametrize(("m", "n"), [(10, 10), (20, 35)])
def test_balanced_accuracy_covers_at_least_95_percent_exactly(m, n):
    members = np.arange(m + n) < m
    low, high = np.empty((2, m + 1, n + 1))
    for true in range(m + 1):
        for false in range(n + 1):
            predicted = np.concatenate([np.arange(m) < true, np.arange(n) >= false])
            _, low[true, false], high[true, false] = metrics.balanced_accuracy(predicted, members)
    rates = [0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.99, 0.999, 1.0]
    coverage = []
    for tpr in rates:
        for tnr in rates:
            chance = np.outer(binom.pmf(np.arange(m + 1), m, tpr), binom.pmf(np.arange(n + 1), n, tnr))
            truth = (tpr + tnr) / 2
            coverage.append(chance[(low <= truth + 1e-12) & (truth - 1e-12 <= high)].sum())
    assert min(coverage) >= 0.95
    assert coverage[len(rates) * 7 + 7] < 0.99  # and it is not needlessly wide: here both rates are ½


# --- thresholds ---


def exhaustive(scores, members):
    """Every candidate tried: the first maximum in order of descending score, from nobody to everybody."""
    candidates = [math.inf, *sorted(set(scores), reverse=True), -math.inf]
    m, n = members.sum(), (~members).sum()
    gains = [(scores[members] >= t).sum() * n - (scores[~members] >= t).sum() * m for t in candidates]
    return candidates[int(np.argmax(gains))]


@pytest.mark.parametrize("seed", range(30))
def test_threshold_equals_the_exhaustive_search(seed):
    rng = np.random.default_rng(seed)
    records = int(rng.integers(2, 40))
    members = rng.permutation(np.arange(records) < rng.integers(1, records))
    scores = rng.integers(0, 8, records) * rng.choice([-1.0, 1.0])  # many ties
    assert metrics.threshold(scores, members) == exhaustive(scores, members)


def test_threshold_of_a_useless_attack_is_nobody():
    assert metrics.threshold([1.0, 1.0], [True, False]) == math.inf
    assert metrics.threshold([0.0, 1.0], [True, False]) == math.inf


def test_of_equally_good_thresholds_the_largest():
    # t = 4 has TPR ½, FPR 0; t = 2 has TPR 1, FPR ½
    assert metrics.threshold([4, 2, 3, 1], [True, True, False, False]) == 4


@pytest.mark.parametrize("seed", range(5))
def test_per_class_thresholds_equal_a_search_in_each_class(seed):
    rng = np.random.default_rng(seed)
    scores, members = tied(rng, 200)
    labels = rng.integers(0, 40, 200)
    labels[labels == 7] = 8  # a class without records
    thresholds, fallbacks = metrics.per_class_thresholds(scores, members, labels, 40)
    complete = [len(set(members[labels == label])) == 2 for label in range(40)]
    assert fallbacks == 40 - sum(complete) > 1
    for label in range(40):
        rows = labels == label if complete[label] else np.ones(200, dtype=bool)
        assert thresholds[label] == exhaustive(scores[rows], members[rows])


def first_in_order(scores, members):
    """The search of Song and Mittal: the first strictly better value in the order of the records, from 0."""
    best, best_accuracy = 0.0, 0.0
    for t in scores:
        accuracy = 0.5 * ((scores[members] >= t).mean() + (scores[~members] < t).mean())
        if accuracy > best_accuracy:
            best, best_accuracy = t, accuracy
    return best


def golden_scores(arrays, case, attack, part):
    """Scores, members and labels of the shadow (s) or target (t) records."""
    names = [f"{case}.{part}_tr", f"{case}.{part}_te"]
    labels = [arrays[f"{name}.labels"] for name in names]
    if attack == "confidence":
        scores = [arrays[f"{name}.probs"][np.arange(len(y)), y] for name, y in zip(names, labels, strict=True)]
    else:
        scores = [-arrays[f"{name}.{attack}"] for name in names]
    return np.concatenate(scores), np.arange(sum(map(len, scores))) < len(scores[0]), np.concatenate(labels)


@pytest.mark.parametrize("attack", GOLDEN_ATTACKS)
@pytest.mark.parametrize("case", ["thr0", "thr1"])
def test_thresholds_and_metrics_equal_the_reference(golden, case, attack):
    vectors = golden("c_metric_attacks")
    expected = vectors.json["threshold_sets"][case]["song_mittal_relaxloss"][attack]
    shadow, shadow_member, shadow_label = golden_scores(vectors.arrays, case, attack, "s")
    target, member, label = golden_scores(vectors.arrays, case, attack, "t")

    thresholds, fallbacks = metrics.per_class_thresholds(shadow, shadow_member, shadow_label, 10)
    np.testing.assert_array_equal(thresholds, vectors.arrays[f"{case}.sm.{attack}.thresholds_perclass"])
    assert fallbacks == 0
    for c, accuracy in enumerate(expected["shadow_balanced_acc_per_class"]):
        rows = shadow_label == c
        assert thresholds[c] == first_in_order(shadow[rows], shadow_member[rows])
        achieved = metrics.balanced_accuracy(shadow[rows] >= thresholds[c], shadow_member[rows])
        assert achieved.value == pytest.approx(accuracy, abs=1e-12)
    overall = metrics.threshold(shadow, shadow_member)
    assert overall == expected["global_threshold"]

    by_class = metrics.balanced_accuracy(target >= thresholds[label], member)
    assert by_class.value == pytest.approx(expected["acc_perclass_threshold"], abs=1e-12)
    at_once = metrics.balanced_accuracy(target >= overall, member)
    assert at_once.value == pytest.approx(expected["acc_global_threshold"], abs=1e-12)
    assert metrics.auc(target, member).value == pytest.approx(expected["auc"], abs=1e-12)


# --- what is refused, and how it reads ---

TAKE_SCORES = (
    metrics.auc,
    metrics.threshold,
    lambda scores, members: metrics.tpr_at_fpr(scores, members, 0.5),
    lambda scores, members: metrics.per_class_thresholds(scores, members, np.zeros(len(members), dtype=int), 1),
)


@pytest.mark.parametrize("metric", TAKE_SCORES)
def test_bad_scores_are_refused(metric):
    with pytest.raises(ValueError, match="scores must be finite: 2 of 4 are NaN or infinite, first at row 1"):
        metric([0.0, math.nan, 1.0, math.inf], [True, False, True, False])
    with pytest.raises(ValueError, match=r"scores must have one entry per record: shape \(2,\), got \(3,\)"):
        metric([0.0, 1.0, 2.0], [True, False])
    with pytest.raises(ValueError, match=r"scores must have one entry per record: shape \(2,\), got \(1, 2\)"):
        metric([[0.0, 1.0]], [True, False])


@pytest.mark.parametrize("metric", [*TAKE_SCORES, lambda _, members: metrics.balanced_accuracy([True, True], members)])
def test_bad_members_are_refused(metric):
    with pytest.raises(ValueError, match="must hold members and non-members, got 2 members and 0 non-members"):
        metric([0.0, 1.0], [True, True])
    with pytest.raises(ValueError, match="got 0 members and 2 non-members"):
        metric([0.0, 1.0], [False, False])
    with pytest.raises(ValueError, match=r"members must be a one-dimensional array of booleans, got int64 of shape"):
        metric([0.0, 1.0], [1, 0])


def test_bad_decisions_are_refused():
    with pytest.raises(ValueError, match=r"predicted must be a one-dimensional array of booleans, got float64"):
        metrics.balanced_accuracy([0.3, 0.7], [True, False])
    with pytest.raises(ValueError, match=r"predicted must have one entry per record: shape \(2,\), got \(3,\)"):
        metrics.balanced_accuracy([True, False, True], [True, False])
    with pytest.raises(ValueError, match="correct must be a one-dimensional array of booleans"):
        metrics.accuracy([0.5])
    with pytest.raises(ValueError, match="correct is empty"):
        metrics.accuracy(np.array([], dtype=bool))


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [0.0, 1.0]])
def test_bad_labels_are_refused(labels):
    with pytest.raises(ValueError, match=r"labels must be integers from 0 to 1 \(num_classes is 2\)"):
        metrics.per_class_thresholds([0.0, 1.0], [True, False], labels, 2)


def test_labels_must_match_the_records():
    with pytest.raises(ValueError, match=r"labels must have one entry per record: shape \(2,\), got \(1,\)"):
        metrics.per_class_thresholds([0.0, 1.0], [True, False], [0], 2)
