"""Loss trajectory: its inputs by hand, its copies, and that the trajectory itself tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from miabench.attacks.trajectory import losses

from miabench import LogOdds, Observed, create_attack
from miabench.errors import UserError

N = 200


def observed(trajectory, own, member):
    """A model whose copies' losses are the columns of a trajectory (N, T), with losses of its own."""

    def seen(loss):
        return Observed(np.zeros(N, dtype=np.int64), None, 2, {LogOdds(): -np.log(np.expm1(loss))}, {})

    return replace(seen(own), member=member, copies={"copy": [seen(column) for column in trajectory.T]})


def test_inputs_are_the_copys_losses_in_order_then_the_models():
    """-log p = log(1 + exp(-log odds))."""
    random = np.random.default_rng(0)
    trajectory, own = random.uniform(0.1, 9, (N, 3)), random.uniform(0.1, 9, N)
    found = losses(observed(trajectory, own, None))
    np.testing.assert_allclose(found, np.column_stack([trajectory, own]), rtol=1e-9)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_what_one_epoch_tells_is_learnt_whatever_its_scale(column):
    """The model's own loss says nothing, and the losses of one epoch, large or small, all."""
    random = np.random.default_rng(1)

    def model(member):
        trajectory = random.uniform(0.5, 1, (N, 3)) * [1, 100, 0.01]
        trajectory[:, column] *= np.where(member, 0.5, 1)
        return observed(trajectory, random.uniform(0.5, 1, N), member)

    member = np.arange(N) < N // 2
    attack = create_attack("trajectory")
    state = attack.fit([model(member), model(member)], torch.Generator().manual_seed(0))
    target = model(member)
    score = attack.score(replace(target, member=None), state)
    assert score[member].min() > np.median(score[~member])
    assert score[~member].max() < np.median(score[member])
    np.testing.assert_array_equal(attack.score(target.at(np.flatnonzero(member)), state), score[member])


def test_the_copy_is_one_training_with_evenly_spaced_snapshots():
    copy = create_attack("trajectory", epochs=7, every=3, tau=2.0).requires()["copy"]
    assert (copy.defense, copy.epochs, copy.schedule, copy.params) == ("copy", (3, 6), {"epochs": 7}, {"tau": 2.0})


def test_an_epoch_at_least_is_looked_at():
    with pytest.raises(UserError, match="every must be at most epochs"):
        create_attack("trajectory", epochs=2, every=3)
