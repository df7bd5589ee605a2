"""The NN attack: its inputs, its schedule, its randomness."""

import numpy as np
import pytest
import torch
from miabench.attacks import _attack_network as network
from miabench.attacks.nn import attack_inputs
from torch.nn import functional as F

from miabench import Logits, TrainingError, create_attack

SHORT = {"epochs": 3}


@pytest.fixture
def shadows(observe):
    random = np.random.default_rng(0)
    made = []
    for _ in range(5):
        labels, member = random.integers(4, size=60), np.arange(60) < 30
        logits = random.normal(size=(60, 4))
        logits[np.arange(60), labels] += np.where(member, 5, 1)
        made.append(observe(logits, labels, member))
    return made


def test_inputs_are_softmax_then_true_class(golden, observe):
    arrays = golden("e_nn_attack").arrays
    p, y = (np.concatenate([arrays[f"{part}_{key}"] for part in ("train", "test")]) for key in ("softmax", "labels"))
    x = attack_inputs(observe(np.log(p), y))
    np.testing.assert_allclose(x, arrays["attack_inputs"], rtol=1e-6)
    np.testing.assert_array_equal(x[:, 4:], arrays["attack_inputs"][:, 4:])


def test_default_schedule_is_the_papers():
    schedule = create_attack("nn").schedule
    assert [schedule.lr_at(epoch) for epoch in (1, 30, 31, 60, 61, 90, 91)] == [
        0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001
    ]  # fmt: skip
    assert (schedule.epochs, schedule.momentum, schedule.weight_decay, schedule.batch_size) == (100, 0.9, 5e-4, 256)


def test_keys_left_out_of_a_schedule_stay_the_attacks():
    schedule = create_attack("nn", schedule={"epochs": 7}).schedule
    assert (schedule.epochs, schedule.lr, schedule.batch_size, schedule.lr_at(31)) == (7, 0.1, 256, 0.01)


def test_learns_to_tell_members(shadows, observe):
    attack = create_attack("nn")
    state = attack.fit(shadows, torch.Generator().manual_seed(0))
    sure, unsure = attack.score(observe([[8, 0, 0, 0], [1, 0, 0, 0]], [0, 0]), state)
    assert sure > 0 > unsure


def test_state_holds_the_weights_of_four_layers(shadows):
    state = create_attack("nn", schedule=SHORT).fit(shadows, torch.Generator())
    assert {name: value.shape for name, value in state.items()} == {
        "weight0": (128, 8), "bias0": (128,), "weight1": (64, 128), "bias1": (64,),
        "weight2": (64, 64), "bias2": (64,), "weight3": (2, 64), "bias3": (2,),
    }  # fmt: skip


def test_learns_on_the_records_of_all_shadows_together(shadows, observe):
    """One model that had answered all of them would teach the same, bit for bit; without one it would be another."""
    attack = create_attack("nn", schedule=SHORT)
    logits, labels, member = (
        np.concatenate(parts)
        for parts in zip(*((shadow[Logits()], shadow.labels, shadow.member) for shadow in shadows), strict=True)
    )
    states = [
        attack.fit(given, torch.Generator().manual_seed(0))
        for given in (shadows, [observe(logits, labels, member)], shadows[1:], shadows[:-1])
    ]
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
        assert not any(np.array_equal(value, other[name]) for other in states[2:])


def test_units_are_dropped_in_training_and_none_in_scoring(shadows):
    """The scores are those of the whole network, and of a training that drops no unit another network comes out."""
    attack = create_attack("nn", schedule=SHORT)
    state = attack.fit(shadows, torch.Generator().manual_seed(0))
    x = torch.from_numpy(attack_inputs(shadows[0]))
    for i in range(4):
        x = F.linear(x, *(torch.from_numpy(state[f"{part}{i}"]).double() for part in ("weight", "bias")))
        x = x.relu() if i < 2 else x
    np.testing.assert_allclose(attack.score(shadows[0], state), x[:, 1] - x[:, 0], rtol=1e-9, atol=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "DROP", 0.0)
        whole = attack.fit(shadows, torch.Generator().manual_seed(0))
    assert not any(np.allclose(value, whole[name], rtol=1e-3) for name, value in state.items())


def test_another_generator_gives_another_network(shadows):
    attack = create_attack("nn", schedule=SHORT)
    one, two = (attack.fit(shadows, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert not np.array_equal(one["weight3"], two["weight3"])


def test_records_with_the_same_input_are_tied(shadows, observe):
    attack = create_attack("nn", schedule=SHORT)
    state = attack.fit(shadows, torch.Generator().manual_seed(0))
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=(37, 4)), random.integers(4, size=37)
    score = attack.score(observe(np.tile(logits, (3, 1)), np.tile(labels, 3)), state)
    np.testing.assert_array_equal(score.reshape(3, 37), np.tile(score[:37], (3, 1)))


def test_divergence_is_an_error(shadows):
    attack = create_attack("nn", schedule={"epochs": 60, "lr": 1e6, "milestones": {}})
    with pytest.raises(TrainingError, match=r"attack's network diverged.*lr = 1e\+06; set a lower schedule.lr"):
        attack.fit(shadows, torch.Generator().manual_seed(0))
