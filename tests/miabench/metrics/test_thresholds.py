"""Thresholds against exhaustive searches and golden vectors; metrics by class."""

import math
from functools import partial

import numpy as np
import pytest

from miabench import metrics

GOLDEN_ATTACKS = ("confidence", "entropy", "mentropy", "loss")


def tied(rng, records=300):
    """Scores of 12 distinct values."""
    is_member = rng.random(records) < 0.4
    return np.round(rng.normal(size=records) + is_member, 0) / 2, is_member


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
    thresholds, without = found = metrics.per_class_thresholds(scores, members, labels, 40)
    complete = [len(set(members[labels == label])) == 2 for label in range(40)]
    assert without == tuple(label for label in range(40) if not complete[label])
    assert found.fallbacks == len(without) > 1
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

    thresholds, without = metrics.per_class_thresholds(shadow, shadow_member, shadow_label, 10)
    np.testing.assert_array_equal(thresholds, vectors.arrays[f"{case}.sm.{attack}.thresholds_perclass"])
    assert without == ()
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


# --- metrics by class ---


def test_a_metric_by_class_is_that_of_its_records():
    scores, members = tied(np.random.default_rng(0), 600)
    labels = np.random.default_rng(1).integers(0, 5, 600)
    members[labels == 3] = True  # a class without non-members
    found = metrics.per_class(metrics.auc, scores, members, labels, 6)  # class 5 has no record
    for label in range(6):
        rows = labels == label
        assert found[label] == (metrics.auc(scores[rows], members[rows]) if label not in (3, 5) else None)
    decided = metrics.per_class(metrics.balanced_accuracy, scores > 0, members, labels, 6)
    assert decided[2] == metrics.balanced_accuracy((scores > 0)[labels == 2], members[labels == 2])


def test_a_metric_that_needs_more_records_is_missing_for_that_class_alone():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], [400, 100])
    scores, members = rng.normal(size=500), np.arange(500) % 2 == 0
    tpr = metrics.per_class(partial(metrics.tpr_at_fpr, fpr=0.01), scores, members, labels, 2)
    assert tpr[0] is not None
    assert tpr[1] is None  # 50 non-members
