"""L-Leaks: what is learnt on the copy's own members is what the model's records are scored by."""

from dataclasses import replace

import numpy as np
import pytest
from miabench.attacks.l_leaks import inputs_of

from miabench import Logits, Observed, UserError, create_attack

N, C = 120, 4
ATTACK = create_attack("l-leaks", schedule={"epochs": 40})


def model(random, member, sure):
    """Members are answered with that many logits more for their class."""
    labels = random.integers(C, size=N)
    logits = random.normal(size=(N, C))
    logits[np.arange(N), labels] += np.where(member, sure, 0)
    return Observed(labels, member, C, {Logits(): logits.astype(np.float32)}, {})


def target_of(sure_copy, scale=1.0):
    """A model that is surer of its members, the first half, with a copy of it."""
    random, member = np.random.default_rng(0), np.arange(N) < N // 2
    population = model(random, np.zeros(N, dtype=bool), 0)
    copy = model(random, member, sure_copy)
    target = replace(model(random, member, 6), member=None)
    copy, target = (replace(m, answers={Logits(): m[Logits()] * np.float32(scale)}) for m in (copy, target))
    return replace(target, population=replace(population, copies={"copy": [copy]}))


def attacked(*made):
    """Scores of members and of others."""
    scores = ATTACK.score(target_of(*made), {})
    return scores[: N // 2], scores[N // 2 :]


def test_inputs_are_the_true_classs_logit_then_the_others_in_descending_order():
    logits = np.array([[3, 1, 2, 9], [5, 8, 6, 7]], dtype=np.float32)
    seen = Observed(np.array([1, 2]), None, C, {Logits(): logits}, {})
    np.testing.assert_array_equal(inputs_of(seen, 0, 1), [[1, 9, 3, 2], [6, 8, 7, 5]])
    np.testing.assert_array_equal(inputs_of(seen, 3, 2), (inputs_of(seen, 0, 1) - 3) / 2)
    np.testing.assert_array_equal(seen[Logits()], logits)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_copys_members_tell_what_the_models_look_like(scale):
    members, others = attacked(6, scale)
    assert np.median(members) > others.max()


def test_a_copy_that_is_less_sure_of_its_members_turns_the_score_round():
    """It is the copy that is learnt from: no direction is taken for granted."""
    members, others = attacked(-6)
    assert np.median(members) < np.median(others)


def test_a_records_score_does_not_depend_on_which_others_are_scored():
    target, some = target_of(6), np.arange(0, N // 2, 3)
    np.testing.assert_array_equal(ATTACK.score(target.at(some), {}), ATTACK.score(target, {})[some])


def test_without_a_population_there_is_no_copy():
    target = model(np.random.default_rng(0), np.zeros(N, dtype=bool), 0)
    with pytest.raises(UserError, match="there are none"):
        create_attack("l-leaks").score(target, {})


def test_the_copy_keeps_a_share_of_records_out():
    copy = create_attack("l-leaks", withheld_fraction=0.25).requires()["copy"]
    assert copy.params == {"withheld_fraction": 0.25, "tau": 4.0, "label_weight": 0.9}
    assert (copy.defense, copy.epochs) == ("copy", ())
