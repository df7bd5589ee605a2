"""A spy in the attacker's place: what `fit` and `score` are given in a run, and where what they return is kept."""

import itertools
import json

import numpy as np
import pytest

FIRST, RECORDS, CLASSES, SEED, SHADOWS = 100, 96, 3, 5, 3

every_attack = pytest.mark.parametrize(
    ("defense", "params", "run", "attacker"),
    [
        (*cell, run, attacker)
        for cell, run, attacker in itertools.product(
            [("ce", {}), ("relaxloss", {"alpha": 0.5}), ("relaxloss", {"alpha": 2.0})],
            (0, 1),
            ("adaptive", "non-adaptive"),
        )
    ],
)


@pytest.fixture
def scores(spied, defense, params, run, attacker):
    """What is stored of one attack of the spy."""

    def scores(told="number"):
        attack = "spy" if told == "number" else f"spy told={told}"
        return spied.scores(defense=defense, params=params, run=run, attacker=attacker, attack=attack)

    return scores


@pytest.fixture
def logits(spied, defense, params, run, attacker):
    """Stored logits (N, C) of the networks that the attack is about: the target's, then each shadow's in order."""
    shadows = (defense, params) if attacker == "adaptive" else ("ce", {})
    networks = [spied.network(defense, run, "target", **params)]
    networks += [spied.network(shadows[0], run, f"shadow-{i}", **shadows[1]) for i in range(SHADOWS)]
    return [spied.observations(network)["answers"] for network in networks]


def rows_of(scores, shadow):
    return scores[f"state.{shadow}.numbers"].astype(int) - FIRST


@every_attack
def test_fit_sees_the_shadows_in_order_each_with_its_own_members(scores, split):
    state = scores()
    assert state["state.count"] == SHADOWS
    for i in range(SHADOWS):
        members, others = split(RECORDS, SEED, f"shadow-{i}")
        rows, member = rows_of(state, i), state[f"state.{i}.member"]
        assert sorted(rows[member]) == sorted(members)
        assert sorted(rows[~member]) == sorted(others)


@every_attack
def test_fit_never_sees_the_target(scores, split, logits):
    """Neither its records nor its answers: those of every shadow are what that shadow's network was asked for."""
    state = scores()
    target = set(np.concatenate(split(RECORDS, SEED, "target")))
    for i, own in enumerate(logits[1:]):
        rows = rows_of(state, i)
        assert not target & set(rows)
        np.testing.assert_array_equal(state[f"state.{i}.logits"], own[rows])
        assert not np.allclose(state[f"state.{i}.logits"], logits[0][rows])


@every_attack
def test_fit_sees_the_true_classes(spied, scores):
    state, y = scores(), spied.pool().y.numpy()
    for i in range(SHADOWS):
        assert state[f"state.{i}.classes"] == CLASSES
        np.testing.assert_array_equal(state[f"state.{i}.labels"], y[rows_of(state, i)])


@every_attack
def test_references_of_a_shadow_are_the_other_shadows_on_its_records(scores, logits):
    state = scores()
    for i in range(SHADOWS):
        rows, others = rows_of(state, i), [own for j, own in enumerate(logits[1:]) if j != i]
        np.testing.assert_array_equal(state[f"state.{i}.reference_logits"], [own[rows] for own in others])
        np.testing.assert_array_equal(state[f"state.{i}.reference_numbers"] - FIRST, [rows] * len(others))


@every_attack
def test_references_of_the_target_are_all_shadows_permuted_with_its_records(scores, logits):
    told = scores("reference")
    expected = sum(3.0**k * own[told["target_row"], 0].astype(float) for k, own in enumerate(logits[1:]))
    np.testing.assert_allclose(told["target"], expected, rtol=1e-12)


@every_attack
def test_the_target_is_shown_in_an_order_that_carries_nothing(scores, split):
    told = scores("place")
    members, others = split(RECORDS, SEED, "target")
    places, member = told["target"].astype(int), told["target_member"]
    assert sorted(places) == list(range(len(members) + len(others)))
    first_half = places < len(members)
    assert 0.25 < member[first_half].mean() < 0.75
    assert not (np.diff(places) > 0).all()
    pool = told["target_row"][np.argsort(places)]
    assert not (np.diff(pool) > 0).all()


@every_attack
def test_membership_of_the_target_is_hidden(scores):
    told = scores("membership")
    assert not told["target"].any()
    assert told["shadows"].all()


@every_attack
def test_scores_of_the_target_are_kept_beside_their_records(spied, scores, split):
    told, y = scores(), spied.pool().y.numpy()
    members, others = split(RECORDS, SEED, "target")
    rows, member = told["target_row"], told["target_member"]
    np.testing.assert_array_equal(told["target"] - FIRST, rows)
    assert sorted(rows[member]) == sorted(members)
    assert sorted(rows[~member]) == sorted(others)
    np.testing.assert_array_equal(told["target_label"], y[rows])
    np.testing.assert_array_equal(scores("label")["target"], y[rows])


@every_attack
def test_scores_of_the_shadows_are_kept_beside_their_membership(spied, scores, split):
    told, y = scores(), spied.pool().y.numpy()
    rows, member = told["shadows"].astype(int) - FIRST, told["shadows_member"]
    np.testing.assert_array_equal(told["shadows_label"], y[rows])
    own_rows, own_member = np.split(rows, SHADOWS), np.split(member, SHADOWS)
    for i in range(SHADOWS):
        members, others = split(RECORDS, SEED, f"shadow-{i}")
        assert sorted(own_rows[i][own_member[i]]) == sorted(members)
        assert sorted(own_rows[i][~own_member[i]]) == sorted(others)


@every_attack
def test_scores_of_the_shadows_compare_each_with_the_others(scores, logits):
    rows = np.split(scores()["shadows"].astype(int) - FIRST, SHADOWS)
    for i, told in enumerate(np.split(scores("reference")["shadows"], SHADOWS)):
        others = [own[rows[i], 0].astype(float) for j, own in enumerate(logits[1:]) if j != i]
        np.testing.assert_allclose(told, sum(3.0**k * own for k, own in enumerate(others)), rtol=1e-12)


def test_an_attacker_draws_anew_in_every_run(spied):
    first, second = (
        spied.scores(defense="ce", run=run, attacker="adaptive", attack="spy")["state.draw"] for run in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_each_run_and_cell_is_measured_on_its_own_target(spied):
    """In every row of the table: accuracy and attacks are about the network of that defense, run and role."""
    for row in spied.table.drop_duplicates("key").itertuples():
        measured = spied.spec("metrics", row.key)
        if measured["scores"]:
            view = spied.spec("scores", measured["scores"])["target"]
            network = spied.spec("observations", view["observations"][0])["network"]
        else:
            network = spied.spec("observations", measured["logits"])["network"]
        params = {} if row.defense == "ce" else json.loads(row.params)
        assert network == spied.network(row.defense, row.run, "target", **params)


@pytest.mark.parametrize("run", [0, 1])
def test_probes_are_asked_about_a_models_own_records_each_with_its_class(spied, run):
    """And their answers stand beside the records: those of the whole pool's observation, in place."""
    own = spied.scores(defense="ce", run=run, attacker="adaptive", attack="spy-on-own")
    y = spied.pool().y.numpy()
    np.testing.assert_array_equal(own["target"] - FIRST, own["target_row"])
    for i in range(SHADOWS):
        numbers, labels = own[f"state.{i}.Asked"].T
        np.testing.assert_array_equal(labels, y[numbers.astype(int) - FIRST])
        np.testing.assert_allclose(own[f"state.{i}.Served"], own[f"state.{i}.Logits"], rtol=1e-4, atol=1e-5)
        whole = spied.observations(spied.network("ce", run, f"shadow-{i}"))["answers"]
        np.testing.assert_array_equal(own[f"state.{i}.Logits"], whole[numbers.astype(int) - FIRST])
