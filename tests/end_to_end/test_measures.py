"""The table's numbers follow from the stored scores and logits, worked out here by counting."""

import itertools

import numpy as np
import pytest

CLASSES = 3

every_attack = pytest.mark.parametrize(("run", "attacker"), [*itertools.product((0, 1), ("adaptive", "non-adaptive"))])


def best_threshold(scores, member):
    """The largest of the thresholds with the best balanced accuracy of "member if score >= threshold"."""
    candidates = [np.inf, *sorted(set(scores), reverse=True)]
    return max(candidates, key=lambda t: (accuracy(scores >= t, member), t))


def accuracy(called, member):
    return round((called[member].mean() + (~called[~member]).mean()) / 2, 12)


def by_class(scores, member, label):
    return np.array([best_threshold(scores[label == c], member[label == c]) for c in range(CLASSES)])


@pytest.fixture
def levels(spied, run, attacker):
    """Scores with few levels, so that many lie exactly on a threshold; and what the table says about them."""
    where = {"defense": "ce", "run": run, "attacker": attacker, "attack": "spy told=level"}
    stored = spied.scores(**where)
    arrays = {side: [stored[f"{side}{part}"] for part in ("", "_member", "_label")] for side in ("target", "shadows")}
    values = {row.metric: row.value for row in spied.where(**where).itertuples()}
    return arrays["target"], arrays["shadows"], values


@every_attack
def test_the_global_threshold_is_learnt_on_the_shadows_and_met_by_equality(levels):
    (target, member, _), (shadows, shadow_member, _), values = levels
    t = best_threshold(shadows, shadow_member)
    assert values["balanced_accuracy_global"] == pytest.approx(accuracy(target >= t, member), abs=1e-9)
    assert accuracy(target > t, member) != accuracy(target >= t, member), "no record lies on the threshold"
    own = best_threshold(target, member)
    assert accuracy(target >= own, member) != accuracy(target >= t, member), "the target's own would be as good"


@every_attack
def test_thresholds_by_class_are_learnt_on_the_shadows_and_met_by_equality(levels):
    (target, member, label), (shadows, shadow_member, shadow_label), values = levels
    t = by_class(shadows, shadow_member, shadow_label)
    expected = accuracy(target >= t[label], member)
    assert values["balanced_accuracy"] == pytest.approx(expected, abs=1e-9)
    assert len(set(t)) == CLASSES
    others = {
        "nobody lies on a threshold": accuracy(target > t[label], member),
        "the target's own": accuracy(target >= by_class(target, member, label)[label], member),
        "another class's": accuracy(target >= np.roll(t, 1)[label], member),
        "one for all": values["balanced_accuracy_global"],
    }
    assert expected not in others.values(), others


@every_attack
def test_auc_counts_pairs_of_the_target(levels):
    (target, member, _), _, values = levels
    pairs = np.sign(target[member][:, None] - target[~member][None])
    assert values["auc"] == pytest.approx((pairs.mean() + 1) / 2, abs=1e-12)
    assert values["auc"] != pytest.approx(0.5, abs=1e-6)


def test_tpr_is_counted_where_so_few_non_members_as_allowed_score_higher(tmp_path, run_in):
    """With 1,100 non-members 11 may be called members at 1%, and one at 0.1%."""
    many = run_in(
        tmp_path,
        dataset={"name": "numbered", "n": 4400},
        model={"name": "mlp", "hidden": [4]},
        attacks=["spy"],
        shadows=2,
        schedule={"epochs": 1},
    )
    scores, values = many.scores(attack="spy"), {row.metric: row.value for row in many.table.itertuples()}
    member, falling = scores["target_member"], np.sort(scores["target"][~scores["target_member"]])[::-1]
    for metric, allowed in (("tpr@1%", 11), ("tpr@0.1%", 1)):
        assert values[metric] == pytest.approx((scores["target"][member] > falling[allowed]).mean())
    assert values["tpr@1%"] > values["tpr@0.1%"]


@pytest.mark.parametrize("alpha", [None, 0.5, 2.0])
@pytest.mark.parametrize("run", [0, 1])
def test_accuracies_are_those_of_the_stored_logits(spied, split, alpha, run):
    where = {"defense": "ce" if alpha is None else "relaxloss", "params": {} if alpha is None else {"alpha": alpha}}
    y, members_and_others = spied.pool().y.numpy(), split(96, 5, "target")
    logits = spied.observations(spied.network(where["defense"], run, "target", **where["params"]))["answers"]
    values = {row.metric: row.value for row in spied.where(**where, run=run, attack=None).itertuples()}
    train, test = ((logits[rows].argmax(1) == y[rows]).mean() for rows in members_and_others)
    assert train != test or alpha, "swapped they would be the same"
    assert values == {"train_accuracy": pytest.approx(train), "test_accuracy": pytest.approx(test)}


@pytest.mark.parametrize("run", [0, 1])
def test_correctness_is_kept_beside_its_records(spied, split, run):
    kept = spied.arrays("metrics", spied.metrics_key(defense="ce", run=run, attack=None))
    y, (members, others) = spied.pool().y.numpy(), split(96, 5, "target")
    logits = spied.observations(spied.network("ce", run))["answers"]
    rows, member = kept["target_row"], kept["target_member"]
    assert sorted(rows[member]) == sorted(members)
    assert sorted(rows[~member]) == sorted(others)
    np.testing.assert_array_equal(kept["target"], logits[rows].argmax(1) == y[rows])
    np.testing.assert_array_equal(kept["target_label"], y[rows])
