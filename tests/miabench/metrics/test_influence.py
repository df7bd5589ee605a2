"""Influences against reweighted records, and those of a TPR against what is written about them."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from miabench import metrics


def two_runs(seed=0, records=60, decimals=8):
    rng = np.random.default_rng(seed)
    members = rng.random(records) < 0.4
    return (rng.normal(size=(2, records)) + members).round(decimals), members


def slope_by_weight(statistic, records, kind, step=1e-5):
    """How the statistic moves with each record's weight, times the records of its kind, centred: its influence."""
    found = np.empty(records)
    for i in range(records):
        more, less = np.ones(records), np.ones(records)
        more[i] += step
        less[i] -= step
        found[i] = (statistic(more) - statistic(less)) / (2 * step)
    return found * kind


def centred(values, members):
    return np.where(members, values - values[members].mean(), values - values[~members].mean())


@pytest.mark.parametrize("decimals", [0, 8])
def test_auc_influences_are_those_of_reweighting(decimals):
    scores, members = two_runs(decimals=decimals)
    found = metrics.auc_influences(scores, members)
    kind = np.where(members, members.sum(), (~members).sum())
    for run in range(2):
        moved = slope_by_weight(lambda w, run=run: roc_auc_score(members, scores[run], sample_weight=w), 60, kind)
        np.testing.assert_allclose(centred(found.records[run], members), moved, atol=1e-6)
        assert found.values[run] == pytest.approx(roc_auc_score(members, scores[run]), rel=1e-12)


def test_balanced_accuracy_influences_are_those_of_reweighting():
    scores, members = two_runs()
    decided = scores > 0.5
    found = metrics.balanced_accuracy_influences(decided, members)
    kind = np.where(members, members.sum(), (~members).sum())

    def weighted(weight, run):
        tpr = np.average(decided[run][members], weights=weight[members])
        return (tpr + np.average(~decided[run][~members], weights=weight[~members])) / 2

    for run in range(2):
        moved = slope_by_weight(lambda w, run=run: weighted(w, run), 60, kind)
        np.testing.assert_allclose(centred(found.records[run], members), moved, atol=1e-6)
        assert found.values[run] == pytest.approx(metrics.balanced_accuracy(decided[run], members).value)


def test_accuracy_influences_are_the_records():
    correct = np.array([[1, 0, 1, 1], [0, 0, 1, 1]])
    found = metrics.accuracy_influences(correct)
    np.testing.assert_array_equal(found.records, correct)
    np.testing.assert_array_equal(found.values, [0.75, 0.5])
    assert found.fewest == 4


# --- TPR at a fixed FPR ---


def tpr_twin(scores, members, fpr):
    """Value, influences, over and under of one run, record by record."""
    inside, outside = scores[members], scores[~members]
    m, n = len(inside), len(outside)
    allowed = math.floor(fpr * n + 1e-9)
    falling = sorted(outside, reverse=True)

    def above(rank):
        return sum(one > falling[rank] for one in inside) / m if rank >= 0 else 0.0

    reach = math.ceil(2 * math.sqrt(allowed + 1))
    nearer, farther = max(allowed - reach, -1), min(allowed + reach, n - 1)
    slope = (above(farther) - above(nearer)) / ((farther - nearer) / n)
    limit = falling[allowed]
    taken = sum(one > limit for one in outside)
    share = {True: 1.0, False: (allowed - taken) / sum(one == limit for one in outside)}
    records = [
        float(one > limit) if member else -slope * (share[one > limit] if one >= limit else 0.0)
        for one, member in zip(scores, members, strict=True)
    ]
    over = slope * max(0, (allowed + 1) / (n + 1) - fpr)
    last = [one for one in outside if taken and one == falling[taken - 1]]
    if len(last) > 1 and taken > allowed - reach:
        over += sum(limit < one <= last[0] for one in inside) / m
    under = 0.0
    ties = [one for one in outside if one == limit]
    if len(ties) > 1 and taken + len(ties) <= allowed + reach:
        under = sum(one == limit for one in inside) / m
    return above(allowed), records, over, under


TIES = (0, 1, 8)  # decimals
RATES = (0.02, 0.1, 0.5)


@pytest.mark.parametrize("decimals", TIES)
@pytest.mark.parametrize("fpr", RATES)
@pytest.mark.parametrize("seed", range(3))
def test_tpr_influences_are_what_is_written(seed, decimals, fpr):
    scores, members = two_runs(seed, 300, decimals)
    found = metrics.tpr_influences(scores, members, fpr)
    for run in range(2):
        value, records, over, under = tpr_twin(scores[run], members, fpr)
        assert found.values[run] == pytest.approx(value, abs=1e-12)
        np.testing.assert_allclose(found.records[run], records, atol=1e-12)
        assert (found.over[run], found.under[run]) == pytest.approx((over, under), abs=1e-12)
    assert found.own_threshold


def test_the_cases_above_have_blocks_of_ties_on_both_sides():
    cases = [(two_runs(seed, 300, decimals), fpr) for seed in range(3) for decimals in TIES[:2] for fpr in RATES]
    found = [tpr_twin(scores[run], members, fpr)[2:] for (scores, members), fpr in cases for run in range(2)]
    assert any(under > 0 for _, under in found)
    assert any(over > 0.05 for over, _ in found)


def test_tpr_influences_need_one_over_fpr_non_members():
    scores, members = np.random.default_rng(0).normal(size=(2, 149)), np.arange(149) < 50
    assert metrics.tpr_influences(scores, members, 0.01) is None


def test_without_excess_a_tpr_is_not_too_high():
    """With 199 non-members and one allowed the expected rate just above the second largest is 2/200: the rate asked."""
    rng = np.random.default_rng(0)
    members = np.arange(399) < 200
    assert metrics.tpr_influences(rng.normal(size=(1, 399)) + members, members, 0.01).over == pytest.approx(
        0, abs=1e-15
    )
    members = np.arange(350) < 200
    assert metrics.tpr_influences(rng.normal(size=(1, 350)) + members, members, 0.01).over > 0


# --- differences, and what is refused ---


def test_a_difference_has_the_room_of_both():
    scores, members = two_runs(records=300, decimals=0)
    a, b = (metrics.tpr_influences(one, members, 0.1) for one in (scores, scores[::-1] + 2 * members))
    apart = a.minus(b)
    np.testing.assert_allclose(apart.over, a.over + b.under)
    np.testing.assert_allclose(apart.under, a.under + b.over)
    np.testing.assert_allclose(apart.records, a.records - b.records)
    np.testing.assert_allclose(apart.values, a.values - b.values)


def test_differences_of_other_runs_or_records_are_refused():
    scores, members = two_runs()
    a = metrics.auc_influences(scores, members)
    with pytest.raises(ValueError, match=r"needs the same runs and records, got shapes \(2, 60\) and \(1, 60\)"):
        a.minus(metrics.auc_influences(scores[:1], members))
    other = np.roll(members, 1)
    with pytest.raises(ValueError, match=r"got shapes \(2, 60\) and \(2, 60\), members differ"):
        a.minus(metrics.auc_influences(scores, other))


@pytest.mark.parametrize(
    "of", [metrics.auc_influences, metrics.balanced_accuracy_influences, lambda s, m: metrics.tpr_influences(s, m, 0.5)]
)
def test_bad_scores_are_refused(of):
    members = np.arange(6) < 3
    with pytest.raises(ValueError, match=r"shape \(..., runs, 6 records\), got \(6,\)"):
        of(np.zeros(6), members)
    with pytest.raises(ValueError, match=r"shape \(..., runs, 6 records\), got \(2, 5\)"):
        of(np.zeros((2, 5)), members)
    with pytest.raises(ValueError, match=r"shape \(..., runs, 6 records\), got \(0, 6\)"):
        of(np.zeros((0, 6)), members)
    with pytest.raises(ValueError, match="scores must be finite"):
        of(np.full((2, 6), np.nan), members)
    with pytest.raises(ValueError, match="must hold members and non-members"):
        of(np.zeros((2, 6)), np.ones(6, dtype=bool))


@pytest.mark.parametrize("values", [np.full((2, 3), 1.5), np.full((2, 3), np.nan), np.ones(3), np.ones((0, 3))])
def test_bad_correctness_is_refused(values):
    with pytest.raises(ValueError, match=r"values must be from 0 to 1 with shape \(..., runs, records\), got shape"):
        metrics.accuracy_influences(values)
