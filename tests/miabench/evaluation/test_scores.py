"""Scores and correctness go to the store and come back; reports read the target's part alone."""

import numpy as np
import pytest

from miabench.errors import UserError
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


FORGED = {
    "gone": lambda arrays: arrays.pop("shadows"),
    "text": lambda arrays: arrays.update(target=arrays["target"].astype(str)),
    "short": lambda arrays: arrays.update(target=arrays["target"][:1]),
    "two dimensions": lambda arrays: arrays.update(target=arrays["target"][:, None]),
    "not finite": lambda arrays: arrays.update(target=np.array([np.nan, 0])),
    "shadows not finite": lambda arrays: arrays.update(shadows=np.array([np.inf, 0, 0])),
    "members of numbers": lambda arrays: arrays.update(target_member=np.array([1, 0])),
    "members alone": lambda arrays: arrays.update(target_member=np.array([True, True])),
    "labels of text": lambda arrays: arrays.update(target_label=np.array(["a", "b"])),
    "negative labels": lambda arrays: arrays.update(shadows_label=np.array([-1, 0, 0])),
    "negative rows": lambda arrays: arrays.update(target_row=np.array([-1, 0])),
    "a row twice": lambda arrays: arrays.update(target_row=np.array([4, 4])),
    "half of the references": lambda arrays: arrays.update(references=np.array([1.0])),
    "references of text": lambda arrays: arrays.update(references=np.array(list("abcde"))),
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_cannot_be_scores_is_refused_though_its_checksum_fits(tmp_path, forged):
    scores = AttackScores(TARGET, ShadowScores.of_all([ONE, OTHER]), {})
    store, arrays = Store(tmp_path), scores.save()
    FORGED[forged](arrays)
    with store.write(REF, {}) as folder:
        write_npz(folder / "arrays.npz", arrays)
    with pytest.raises(UserError, match=r"scores/a+/arrays\.npz is damaged \(.*; remove the folder"):
        AttackScores.load(store, REF)


def test_a_record_is_classified_correctly_or_not(tmp_path):
    store, ref = Store(tmp_path), Ref("metrics", "a" * 32)
    with store.write(ref, {}) as folder:
        write_npz(folder / "arrays.npz", TARGET.save())
    with pytest.raises(UserError, match="neither classified correctly nor wrongly"):
        TargetValues.load(store, ref)
