"""Accuracies and rates of decisions against hand-worked numbers, golden vectors, and enumerated coverage."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from miabench import metrics
from miabench.metrics.names import Calibrated


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


def test_rates_by_hand():
    # 3 of 4 members and 2 of 6 non-members are called members
    predicted = np.array([True, True, True, False] + [True] * 2 + [False] * 4)
    members = np.arange(10) < 4
    assert metrics.true_positive_rate(predicted, members) == metrics.accuracy([True] * 3 + [False])
    assert metrics.false_positive_rate(predicted, members) == metrics.accuracy([True] * 2 + [False] * 4)
    balanced = metrics.balanced_accuracy(predicted, members)
    assert metrics.advantage(predicted, members) == pytest.approx([2 * one - 1 for one in balanced], abs=1e-12)
    assert metrics.advantage(predicted, members).value == pytest.approx(3 / 4 - 2 / 6)
    assert metrics.advantage(~predicted, members).value == pytest.approx(2 / 6 - 3 / 4)


# --- positive predictive value ---


def decided(tpr, fpr, each=1000):
    """Decisions on as many members as non-members."""
    members = np.arange(2 * each) < each
    return np.concatenate([np.arange(each) < round(tpr * each), np.arange(each) < round(fpr * each)]), members


def test_ppv_equals_the_reference(golden):
    rows = golden("p_metrics").arrays["ppv.tpr_fpr_prior_ppv"]
    for tpr, fpr, prior, expected in rows:
        found = metrics.positive_predictive_value(*decided(tpr, fpr), prior)
        if np.isnan(expected):
            assert found is None
        else:
            assert found.value == pytest.approx(expected, abs=1e-12)
    assert len(rows) == 48


def test_ppv_is_one_without_false_positives_but_not_for_certain():
    value, low, high = metrics.positive_predictive_value(*decided(0.05, 0), 0.01)
    assert (value, high) == (1, 1)
    # the square root of the lower limit's equation where FPR is 0: r² u² = T² - (T - l)²
    least, most = beta.ppf(0.025, 50, 951), beta.ppf(0.975, 1, 1000)
    ratio = math.sqrt(0.05**2 - (0.05 - least) ** 2) / most
    assert low == pytest.approx(0.01 * ratio / (0.01 * ratio + 0.99))
    assert low < 0.2


def test_ppv_of_zero_is_not_certain():
    value, low, high = metrics.positive_predictive_value(*decided(0, 0.05), 0.1)
    assert (value, low) == (0, 0)
    assert 0 < high < 0.1


@pytest.mark.parametrize(("m", "n"), [(10, 10), (20, 35)])
def test_ppv_interval_covers_at_least_95_percent_exactly(m, n):
    members = np.arange(m + n) < m
    low, high = np.full((2, m + 1, n + 1), np.nan)
    for true in range(m + 1):
        for false in range(n + 1):
            predicted = np.concatenate([np.arange(m) < true, np.arange(n) < false])
            found = metrics.positive_predictive_value(predicted, members, 0.1)
            if found:
                _, low[true, false], high[true, false] = found
    for tpr in (0.02, 0.1, 0.5, 0.9, 0.99):
        for fpr in (0.01, 0.1, 0.3, 0.6):
            chance = np.outer(binom.pmf(np.arange(m + 1), m, tpr), binom.pmf(np.arange(n + 1), n, fpr))
            chance[0, 0] = 0  # undefined
            truth = 0.1 * tpr / (0.1 * tpr + 0.9 * fpr)
            covered = chance[(low <= truth + 1e-12) & (truth - 1e-12 <= high)].sum() / chance.sum()
            assert covered >= 0.95


@pytest.mark.parametrize("prior", [0, 1, 5])
def test_prior_must_be_a_fraction(prior):
    with pytest.raises(ValueError, match=rf"prior must be a fraction between 0 and 1 \(1% is 0.01\), got {prior}"):
        metrics.positive_predictive_value([True, False], [True, False], prior)


# --- at the threshold that the shadows call for ---


def apart(rng, shift, records=400):
    """A target whose scores lie higher than its shadows', which is what a calibrated threshold must not know."""
    members = rng.random(records) < 0.5
    return metrics.Scored(rng.normal(size=records) + members + shift, members)


def test_a_calibrated_rate_is_at_the_shadows_threshold():
    rng = np.random.default_rng(0)
    target, shadows = apart(rng, 0.5), apart(rng, 0.0, 1000)
    others = np.sort(shadows.scores[~shadows.members])[::-1]
    allowed = math.floor(0.1 * len(others))
    limit = shadows.scores[shadows.scores > others[allowed]].min()  # the lowest score with so many non-members
    assert (others >= limit).sum() == allowed
    called = target.scores >= limit
    tpr, fpr, ppv = (
        metrics.at_shadow_threshold(Calibrated(rate, 0.1, prior), target, shadows)
        for rate, prior in (("tpr", None), ("fpr", None), ("ppv", 0.1))
    )
    assert tpr == metrics.true_positive_rate(called, target.members)
    assert fpr == metrics.false_positive_rate(called, target.members)
    assert ppv == metrics.positive_predictive_value(called, target.members, 0.1)
    assert fpr.value > 0.15  # the realised one: the target's own threshold would keep it at 0.1


def test_a_score_equal_to_the_threshold_is_called():
    shadows = metrics.Scored(np.array([3.0, 2, 2, 1, 0, 0, 0]), np.arange(7) < 2)
    target = metrics.Scored(np.array([2.0, 1, 2, 0]), np.arange(4) < 2)  # the threshold is 2, with one false positive
    assert metrics.at_shadow_threshold(Calibrated("tpr", 0.3), target, shadows).value == 0.5
    assert metrics.at_shadow_threshold(Calibrated("fpr", 0.3), target, shadows).value == 0.5


def test_a_calibrated_rate_needs_the_shadows_to_have_one_over_fpr_non_members():
    rng = np.random.default_rng(1)
    target = apart(rng, 0.0)
    few, enough = (metrics.Scored(rng.normal(size=n + 50), np.arange(n + 50) < 50) for n in (99, 100))
    assert metrics.at_shadow_threshold(Calibrated("tpr", 0.01), target, few) is None
    assert metrics.at_shadow_threshold(Calibrated("tpr", 0.01), target, enough) is not None


def test_where_the_shadows_allow_nobody_nobody_is_called():
    shadows = metrics.Scored(np.zeros(400), np.arange(400) < 200)  # one block of ties
    target = apart(np.random.default_rng(2), 0.0)
    assert metrics.at_shadow_threshold(Calibrated("tpr", 0.01), target, shadows).value == 0
    assert metrics.at_shadow_threshold(Calibrated("fpr", 0.01), target, shadows).value == 0
    assert metrics.at_shadow_threshold(Calibrated("ppv", 0.01, 0.1), target, shadows) is None
