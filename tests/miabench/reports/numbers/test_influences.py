"""From scores to influences: every metric's own records, and the runs and records that lines share."""

from dataclasses import replace

import numpy as np
import pytest

from miabench.evaluation.decisions import called_members
from miabench.evaluation.measure import measure_attack
from miabench.evaluation.scores import AttackScores, ShadowScores, TargetValues
from miabench.metrics.names import ATTACK_METRICS, CALIBRATED
from miabench.reports.numbers import influences
from miabench.reports.numbers.influences import RANKED, attacked, correctness, numbers, of_all, shared
from miabench.reports.numbers.summary import summarize


def target(rows, members, values=None, seed=0):
    values = np.random.default_rng(seed).normal(size=len(rows)) if values is None else np.asarray(values, float)
    return TargetValues(values, np.asarray(members, bool), np.zeros(len(rows), np.int64), np.asarray(rows))


PREDICTIVE = tuple(name for name, one in CALIBRATED.items() if one.rate == "ppv")


@pytest.fixture(scope="module")
def attack():
    """Two runs of 3,000 records whose shadows have enough records for every metric, the smallest rate excepted."""
    rng, found = np.random.default_rng(0), {}
    for run in range(2):
        members = np.arange(3000) < 1400
        labels = rng.integers(3, size=3000)
        scores, shadows = (rng.normal(size=3000) + (1.5 + run) * members + labels for _ in range(2))
        own = TargetValues(scores, members, labels, np.arange(3000))
        found[run] = AttackScores(own, ShadowScores(shadows, members, labels), {})
    return found


class Stored:
    """The results of one attack."""

    def __init__(self, attack):
        self.attack = attack

    def targets(self, *_):
        return {run: one.target for run, one in self.attack.items()}

    def scores(self, *_):
        return self.attack


class Line:
    cell, attacker = None, "adaptive"


@pytest.mark.parametrize("metric", [name for name in ATTACK_METRICS if name not in (*PREDICTIVE, "tpr@0.01%")])
@pytest.mark.parametrize("dense", [True, False])
def test_a_value_is_the_metric_s(attack, metric, dense):
    """On the same records in all runs, and on a union where the second run lacks some."""
    cut = attack
    if not dense:
        one, keep = attack[1], np.arange(3000) % 7 > 0
        parts = (one.target.values, one.target.members, one.target.labels, one.target.rows)
        cut = attack | {1: AttackScores(TargetValues(*(part[keep] for part in parts)), one.shadows, {})}
    runs = attacked(Stored(cut), Line(), "nn", metric)
    scope = of_all(shared([{run: one.target for run, one in cut.items()}]), [runs])
    (found,) = numbers(metric, [runs], scope)
    for r, run in enumerate(cut):
        row = next(row for row in measure_attack(cut[run]) if row["metric"] == metric)
        value = 2 * found.values[r] - 1 if metric == "advantage" else found.values[r]
        assert value == pytest.approx(row["value"], abs=1e-12)
    assert (found.rarer is None) == dense


@pytest.mark.parametrize("metric", PREDICTIVE)
def test_a_predictive_value_has_no_influences(attack, metric):
    runs = attacked(Stored(attack), Line(), "nn", metric)
    assert numbers(metric, [runs], shared([runs])) == [None]


@pytest.mark.parametrize(
    ("metric", "kind"), [("calibrated_tpr@1%", True), ("calibrated_fpr@1%", False), ("far", False)]
)
def test_a_rate_is_about_one_kind_alone(attack, metric, kind):
    runs = attacked(Stored(attack), Line(), "nn", metric)
    (found,) = numbers(metric, [runs], shared([runs]))
    assert found.records.shape == (2, (attack[0].target.members == kind).sum())
    assert found.fewest == found.records.shape[1]


def test_a_true_negative_rate_is_about_the_other_kind(attack):
    runs = attacked(Stored(attack), Line(), "nn", "tnr@1%")
    (found,) = numbers("tnr@1%", [runs], shared([runs]))
    assert set(np.unique(found.records[:, found.members])) == {0, 1}  # a non-member is below the threshold or not
    assert found.members.sum() == 1600


def test_decisions_are_those_of_each_metric_s_threshold(attack):
    for metric in ("balanced_accuracy", "balanced_accuracy_global", "calibrated_tpr@1%", "calibrated_tpr@0.1%"):
        for run, one in attacked(Stored(attack), Line(), "nn", metric).items():
            np.testing.assert_array_equal(one.values == 1, called_members(metric, attack[run]))
    different = [attacked(Stored(attack), Line(), "nn", name)[0].values.sum() for name in ATTACK_METRICS[:3]]
    assert len(set(different)) == 3


def test_a_score_at_the_threshold_is_called_a_member():
    """Rounded scores: targets tie with the shadows' threshold, and decisions are those that the rate is measured by."""
    rng, members = np.random.default_rng(1), np.arange(3000) < 1500
    scores, shadows = (np.round(rng.normal(size=3000) + 1.5 * members, 1) for _ in range(2))
    labels = np.zeros(3000, np.int64)
    own = AttackScores(target(range(3000), members, scores), ShadowScores(shadows, members, labels), {})
    measured = {row["metric"]: row["value"] for row in measure_attack(own)}
    for metric, kind in (("calibrated_tpr@1%", members), ("calibrated_fpr@1%", ~members), ("far", ~members)):
        called = called_members(metric, own)
        assert called[kind].mean() == pytest.approx(measured[metric])
        assert scores[called].min() in shadows


def test_without_shadows_nothing_is_decided_and_scores_stand(attack):
    nobody = ShadowScores(np.empty(0), np.empty(0, bool), np.empty(0, np.int64))
    bare = attack | {0: AttackScores(attack[0].target, nobody, {})}
    assert list(attacked(Stored(bare), Line(), "nn", "balanced_accuracy")) == [1]
    for metric in RANKED:
        assert list(attacked(Stored(bare), Line(), "nn", metric)) == [0, 1]


def test_few_shadow_records_decide_no_calibrated_rate(attack):
    few = {run: AttackScores(one.target, ShadowScores(*(part[1390:1480] for part in (
        one.shadows.values, one.shadows.members, one.shadows.labels))), {}) for run, one in attack.items()}  # fmt: skip
    assert attacked(Stored(few), Line(), "nn", "calibrated_tpr@1%") == {}
    assert list(attacked(Stored(few), Line(), "nn", "balanced_accuracy")) == [0, 1]


# --- the scope ---


def test_only_records_with_the_same_membership_under_all_lines_are_shared():
    one = {0: target([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0])}
    other = {0: target([6, 5, 4, 3, 2], [0, 1, 0, 1, 1])}  # record 1 withheld; record 5 a member here
    scope = shared([one, other])
    assert scope.rows[0].tolist() == [2, 3, 4, 6]
    assert scope.members[0].tolist() == [True, True, False, False]


def test_runs_missing_on_one_side_are_left_out():
    one = {run: target(range(6), [1, 1, 1, 0, 0, 0], seed=run) for run in (0, 1, 3)}
    other = {run: target(range(6), [1, 1, 1, 0, 0, 0], seed=run) for run in (1, 2, 3)}
    assert list(shared([one, other]).rows) == [1, 3]
    assert shared([one, {2: other[2]}]) is None
    assert shared([]) is None
    assert list(of_all(shared([one, other]), [{3: one[3]}]).rows) == [3]
    assert list(of_all(shared([one, other]), [one, {1: one[1]}]).rows) == [1]
    assert of_all(shared([one, other]), [{0: one[0]}]) is None
    assert of_all(shared([one, other]), []) is None
    assert of_all(None, [one]) is None


def test_a_run_without_a_shared_record_of_each_kind_is_left_out():
    one = {run: target(range(4), [1, 1, 0, 0]) for run in (0, 1)}
    other = {0: target(range(4), [0, 0, 1, 1]), 1: one[1]}
    assert list(shared([one, other]).rows) == [1]
    assert shared([{0: one[0]}, {0: target([0, 1, 8], [1, 1, 1])}]) is None


def test_the_union_is_of_all_runs():
    runs = {0: target([1, 2, 5], [1, 0, 0]), 1: target([2, 3, 9], [1, 1, 0])}
    assert shared([runs]).union.tolist() == [1, 2, 3, 5, 9]


def test_numbers_are_of_the_shared_records_alone():
    """Scores by hand: without record 3, a member that scores lowest, members always win."""
    mine = {0: target([3, 1, 2, 7, 8], [1, 1, 1, 0, 0], [0, 5, 6, 1, 2])}
    theirs = {0: target([1, 2, 7, 8], [1, 1, 0, 0], [1, 3, 0, 2])}
    scope = shared([mine, theirs])
    a, b = numbers("auc", [mine, theirs], scope)
    assert (a.values.tolist(), b.values.tolist()) == ([1.0], [0.75])
    assert a.members.tolist() == b.members.tolist() == [True, True, False, False]
    assert numbers("auc", [mine], shared([mine]))[0].values.tolist() == [pytest.approx(4 / 6)]


def test_an_attack_that_scores_some_records_only_is_on_the_union():
    """Beside one that scores all; a record without a score has no influence."""
    every = {run: target(range(8), [1, 1, 1, 1, 0, 0, 0, 0], seed=run) for run in (0, 1)}
    some = {run: target([7, 0, 1, 4], [0, 1, 1, 0], [1, 2, 0, 1.5]) for run in (0, 1)}
    scope = of_all(shared([every]), [every, some])
    full, part = numbers("auc", [every, some], scope)
    assert full.records.shape == part.records.shape == (2, 8)
    assert part.values.tolist() == [0.5, 0.5]
    apart = part.records - part.values[:, None]
    assert (apart[:, [2, 3, 5, 6]] == 0).all()
    # record 0 wins both comparisons, record 1 none: +-1/2 of two members, over 8 records
    np.testing.assert_allclose(apart[0, [0, 1]], [8 * 0.25, -8 * 0.25])
    assert (full.fewest, part.fewest) == (4, 2)


def test_rates_on_a_union_are_of_their_own_kind():
    """Of a pool: a record is a non-member in one run only, and counts there alone."""
    correct = {0: target(range(4), [1, 1, 0, 0], [1, 1, 1, 0]), 1: target(range(4), [0, 0, 1, 1], [0, 0, 1, 1])}
    (found,) = numbers("test_accuracy", [correct], shared([correct]))
    assert found.values.tolist() == [0.5, 0]
    np.testing.assert_allclose(found.records - found.values[:, None], [[0, 0, 1, -1], [0, 0, 0, 0]])


def test_too_few_records_in_one_run_leave_no_number():
    runs = {run: target(range(150), np.arange(150) < 40) for run in (0, 1)}
    small = runs | {1: target(range(90), np.arange(90) < 40)}
    assert numbers("tpr@1%", [runs], shared([runs]))[0] is not None
    assert numbers("tpr@1%", [small], shared([small])) == [None]


def test_withheld_records_are_shared_by_neither_side(make_results):
    results = make_results({}, {"defense": "crl", "withheld": 15}, runs=3)
    ce, crl = summarize(results).lines
    scope = shared([correctness(results, ce), correctness(results, crl)])
    assert {run: (len(rows), int(scope.members[run].sum())) for run, rows in scope.rows.items()} == dict.fromkeys(
        range(3), (65, 25)
    )


@pytest.mark.parametrize("together", [1, 12000, 2**20])
@pytest.mark.parametrize("metric", ["auc", "tpr@1%", "tnr@1%", "balanced_accuracy", "calibrated_tpr@1%", "far"])
def test_numbers_of_several_attacks_are_those_of_each_alone(attack, metric, together, monkeypatch):
    """Bit for bit, however many are computed at once."""
    runs = attacked(Stored(attack), Line(), "nn", metric)
    others = {run: replace(one, values=one.values[::-1].copy()) for run, one in runs.items()}
    scope, parts = shared([runs]), [runs, others, runs]
    alone = [numbers(metric, [part], scope)[0] for part in parts]
    monkeypatch.setattr(influences, "TOGETHER", together)
    for got, expected in zip(numbers(metric, parts, scope), alone, strict=True):
        assert got.own_threshold == expected.own_threshold
        for name in ("values", "records", "members", "over", "under"):
            assert getattr(got, name).tobytes() == getattr(expected, name).tobytes()
    assert not np.array_equal(alone[0].records, alone[1].records)
