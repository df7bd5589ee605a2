"""Scores and correctness go to the store and come back; reports read the target's part alone."""

import numpy as np

from miabench.evaluation.scores import AttackScores, ShadowScores, TargetValues
from miabench.files.npz import write_npz
from miabench.store.store import Ref, Store

REF = Ref("scores", "a" * 32)
TARGET = TargetValues(
    np.array([0.5, -1.0]), np.array([True, False]), np.array([3, 1], dtype=np.int64), np.array([9, 4], dtype=np.int64)
)
ONE = ShadowScores(np.array([1.0]), np.array([True]), np.array([2], dtype=np.int64))
OTHER = ShadowScores(np.array([2.0, 3.0]), np.array([False, True]), np.array([0, 1], dtype=np.int64))


def same(one, other):
    assert type(one) is type(other)
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, vars(other)[name])
        assert value.dtype == vars(other)[name].dtype


def stored(tmp_path, scores):
    store = Store(tmp_path)
    with store.write(REF, {}) as folder:
        write_npz(folder / "arrays.npz", scores.save())
    return store


def test_attack_scores_come_back(tmp_path):
    given = AttackScores(TARGET, ShadowScores.of_all([ONE, OTHER]), {"weight": np.arange(3.0)})
    store = stored(tmp_path, given)
    found = AttackScores.load(store, REF)
    same(found.target, TARGET)
    same(found.shadows, given.shadows)
    assert list(found.state) == ["weight"]
    np.testing.assert_array_equal(found.state["weight"], np.arange(3.0))
    same(TargetValues.load(store, REF), TARGET)


def test_the_arrays_are_stored_under_the_names_they_have_always_had():
    names = {"target", "target_member", "target_label", "target_row", "shadows", "shadows_member", "shadows_label"}
    assert AttackScores(TARGET, ONE, {"w": ONE.values}).save().keys() == {*names, "state.w"}
    assert TARGET.save().keys() == {name for name in names if name.startswith("target")}
    np.testing.assert_array_equal(TARGET.save()["target_row"], [9, 4])
    np.testing.assert_array_equal(AttackScores(TARGET, OTHER, {}).save()["shadows_label"], [0, 1])


def test_shadows_stand_one_after_another():
    both = ShadowScores.of_all([ONE, OTHER])
    np.testing.assert_array_equal(both.values, [1, 2, 3])
    np.testing.assert_array_equal(both.members, [True, False, True])
    np.testing.assert_array_equal(both.labels, [2, 0, 1])


def test_without_shadows_the_arrays_are_empty_and_typed():
    none = ShadowScores.of_all([])
    assert (none.values.dtype, none.members.dtype, none.labels.dtype) == (np.float64, bool, np.int64)
    assert len(none.values) == len(none.members) == len(none.labels) == 0
