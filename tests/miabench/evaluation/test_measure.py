"""Rows of metrics: every name once, each equal to its formula on the same scores, or missing with the reason."""

import numpy as np
import pytest

from miabench import metrics
from miabench.evaluation.measure import (
    ATTACK_METRICS,
    NEED_SHADOWS,
    measure_accuracy,
    measure_attack,
    measure_classes,
)
from miabench.evaluation.references import ReferenceCounts
from miabench.evaluation.scores import AttackScores, ShadowScores, TargetValues

CLASSES = 3


def draw(n, seed, shift=1.0):
    random = np.random.default_rng(seed)
    members = np.arange(n) < n // 2
    return random.normal(size=n) + shift * members, members, random.integers(0, CLASSES, n)


def given(n=4000, references=None, shadows=True):
    values, members, labels = draw(n, 1)
    learnt_on = [ShadowScores(*draw(n, 2))] if shadows else []
    return AttackScores(
        TargetValues(values, members, labels, np.arange(n)), ShadowScores.of_all(learnt_on), {}, references
    )


def by_name(rows):
    assert len({row["metric"] for row in rows}) == len(rows)
    return {row["metric"]: row for row in rows}


def test_every_metric_stands_once_in_its_order():
    assert [row["metric"] for row in measure_attack(given())] == list(ATTACK_METRICS)


def test_each_metric_is_its_formula_on_the_target_at_thresholds_of_the_shadows():
    scores = given()
    rows = by_name(measure_attack(scores))
    s, m, y = scores.target.values, scores.target.members, scores.target.labels
    t, tm, ty = scores.shadows.values, scores.shadows.members, scores.shadows.labels
    best = [max((((t[ty == c] >= v) & tm[ty == c]).sum() / (tm & (ty == c)).sum()
                 - ((t[ty == c] >= v) & ~tm[ty == c]).sum() / (~tm & (ty == c)).sum(), v)
                for v in t[ty == c])[1] for c in range(CLASSES)]  # fmt: skip
    called = s >= np.array(best)[y]
    tpr, fpr = called[m].mean(), called[~m].mean()
    assert rows["balanced_accuracy"]["value"] == pytest.approx((tpr + 1 - fpr) / 2)
    assert rows["advantage"]["value"] == pytest.approx(tpr - fpr)
    assert rows["far"]["value"] == pytest.approx(fpr)
    others = np.sort(t[~tm])
    threshold = t[t > others[-21]].min()  # of 2,000 non-members 1% are 20
    assert rows["calibrated_tpr@1%"]["value"] == pytest.approx((s[m] >= threshold).mean())
    assert rows["calibrated_fpr@1%"]["value"] == pytest.approx((s[~m] >= threshold).mean())
    a, b = rows["calibrated_tpr@1%"]["value"], rows["calibrated_fpr@1%"]["value"]
    assert rows["ppv@1%:prior=10%"]["value"] == pytest.approx(0.1 * a / (0.1 * a + 0.9 * b))
    assert rows["tnr@1%"]["value"] == pytest.approx((s[~m] < np.sort(s[m])[20]).mean())
    assert rows["tpr@1%"]["realised_fpr"] == pytest.approx(0.01, abs=1e-3)
    assert rows["tpr@1%"]["value"] == pytest.approx((s[m] > np.sort(s[~m])[-21]).mean())


def test_without_shadows_only_rankings_are_measured():
    rows = by_name(measure_attack(given(shadows=False)))
    assert {name for name, row in rows.items() if row["reason"] == "no shadow models"} == set(NEED_SHADOWS)
    assert all(rows[name]["value"] is not None for name in ("auc", "tpr@10%", "tpr@1%", "tpr@0.1%", "tnr@1%"))


def test_shadows_with_too_few_references_calibrate_nothing_and_say_so():
    counts = ReferenceCounts(4.0, 4.0, 1.5, 1.5, 3)
    rows = by_name(measure_attack(given(shadows=False, references=counts)))
    assert rows["far"]["reason"] == "shadow models have 1.5 references on average: it takes 2 to learn a threshold"
    assert rows["auc"]["references"]["lacking"] == 3
    assert not counts.calibrate
    assert counts._replace(shadows_out=2.0).calibrate


def test_metrics_that_need_more_records_say_how_many():
    rows = by_name(measure_attack(given(n=40)))
    assert rows["tpr@1%"]["reason"] == "needs 100 non-members, has 20"
    assert rows["tnr@1%"]["reason"] == "needs 100 members, has 20"
    assert rows["calibrated_fpr@0.1%"]["reason"] == "needs 1,000 non-members of shadow models, has 20"
    assert all((row["value"] is None) == (row["reason"] is not None) for row in rows.values())


def test_a_predictive_value_of_nobody_is_missing_with_the_reason():
    scores = given()
    high = ShadowScores(scores.shadows.values + 100, scores.shadows.members, scores.shadows.labels)
    rows = by_name(measure_attack(AttackScores(scores.target, high, {})))
    assert rows["ppv@1%:prior=1%"]["reason"] == "nobody is called a member"
    assert rows["calibrated_tpr@1%"]["value"] == 0


def test_rows_of_classes_are_of_their_records_alone():
    scores = given(n=300)
    s, m, y = scores.target.values, scores.target.members, scores.target.labels
    rows = measure_classes(scores, CLASSES)
    assert [(row["metric"], row["class"]) for row in rows] == [
        (metric, c) for metric in ("auc", "balanced_accuracy") for c in range(CLASSES)
    ]
    for row in rows[:CLASSES]:
        own = y == row["class"]
        assert row["value"] == metrics.auc(s[own], m[own]).value
        assert (row["n_members"], row["n_nonmembers"]) == ((m & own).sum(), (~m & own).sum())
    assert {row["metric"] for row in measure_classes(given(n=300, shadows=False), CLASSES)} == {"auc"}


def test_accuracies_are_of_members_and_of_non_members():
    correct, member = np.arange(10) < 5, np.arange(10) < 4
    train, test = measure_accuracy(correct, member)
    assert (train["metric"], train["value"]) == ("train_accuracy", 1)
    assert (test["metric"], test["value"]) == ("test_accuracy", pytest.approx(1 / 6))
    assert (test["n_members"], test["n_nonmembers"]) == (4, 6)
