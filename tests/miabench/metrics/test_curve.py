"""ROC curves and their points against scikit-learn and golden vectors, in five conventions of other tools."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from miabench import metrics

SCORES = ("smooth", "rounded", "binary", "separated", "chance")  # those with golden rates
OURS = "lan: last point with fpr <= a"
OTHERS = (
    "sacro: interpolated thresholds",
    "jax_privacy: hull interpolation",
    "miae: nearest fpr",
    "tfp plot.py: last point with fpr < a",
)


@pytest.fixture(scope="module")
def rates(golden):
    """Golden rates by score and false positive rate, the scores, and who is a member."""
    vectors = golden("p_metrics")
    (case,) = [case for case in vectors.json["cases"] if case["key"] == "tpr_at_fpr"]
    scores = {name: vectors.arrays[f"score.{name}"] for name in SCORES}
    values = {name: {key: one for key, one in case["values"][name].items() if key[0].isdigit()} for name in SCORES}
    return values, scores, vectors.arrays["member"]


@pytest.mark.parametrize("decimals", [0, 8])
def test_the_curve_is_scikit_learns(decimals):
    rng = np.random.default_rng(0)
    members = rng.random(300) < 0.4
    scores = (rng.normal(size=300) + members).round(decimals)
    fpr, tpr, thresholds = roc_curve(members, scores, drop_intermediate=False)
    curve = metrics.roc(scores, members)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-15)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-15)
    np.testing.assert_array_equal(curve.thresholds, thresholds)


@pytest.mark.parametrize("name", SCORES)
def test_the_last_point_equals_the_reference(rates, name):
    """Its rate is theirs exactly; their curve drops points on straight lines, so their last point may come sooner."""
    values, scores, members = rates
    score, others = scores[name], np.sort(scores[name][~members])[::-1]
    for fpr, expected in values[name].items():
        point = metrics.point_at_fpr(score, members, float(fpr))
        assert (point is None) == expected["n_a_for_miabench"]
        if point:
            assert point.tpr == expected[OURS]["tpr"] == metrics.tpr_at_fpr(score, members, float(fpr)).value
            assert expected[OURS]["realised_fpr"] <= point.fpr <= float(fpr)
            assert point.threshold <= float(expected[OURS]["threshold"])
            assert point.tpr == (score >= float(expected[OURS]["threshold"]))[members].mean()
            assert point.fpr == (others >= point.threshold).mean()
            lower = score[score < point.threshold].max()  # one block of scores more is too many
            assert (others >= lower).mean() > float(fpr)


@pytest.mark.parametrize("other", OTHERS)
def test_the_golden_vectors_tell_our_convention_from_others(rates, other):
    values, _, _ = rates
    apart = [
        abs((found["tpr"] if isinstance(found, dict) else float(found)) - expected[OURS]["tpr"]) > 1e-6
        for name in SCORES
        for expected in values[name].values()
        if not expected["n_a_for_miabench"]
        for found in [expected[other]]
    ]
    assert any(apart) or other.startswith("tfp")  # no golden rate is hit exactly: see the next test


def test_a_rate_that_is_hit_exactly_counts():
    point = metrics.point_at_fpr([4, 3, 2, 1], [True, False, True, False], 0.5)
    assert point == (2, 1, 0.5)


def test_a_point_with_nobody():
    assert metrics.point_at_fpr(np.zeros(30), np.arange(30) < 10, 0.1) == (math.inf, 0, 0)


def test_everybody_is_never_called():
    """A rate just below 1 must keep one non-member out."""
    scores, members = np.arange(10.0), np.arange(10) % 2 == 0
    assert metrics.point_at_fpr(scores, members, 1 - 1e-13).fpr == 0.8
