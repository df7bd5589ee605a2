"""SELENA: who is left out of which sub-model, what is answered, and what the network learns from it."""

from functools import partial

import pytest
import torch
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

K, L, SEED = 5, 2, 6


class MLP(miabench.Model, frozen=True):
    """One hidden layer."""

    def build(self, domain):
        return Classifier(nn.Sequential(nn.Linear(4, 6), nn.Tanh()), nn.Linear(6, domain.num_classes), 6)


@pytest.fixture(scope="module")
def defense():
    return miabench.create_defense("selena", sub_models=K, left_out=L)


@pytest.fixture
def task(defense):
    """Members are every second record of the pool; sub-models are untrained networks."""
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Data(x, torch.arange(40) % 3, ("a", "b", "c"))
    given = {}
    for k in range(K):
        with global_stream(k, "sub-model"):
            given[f"sub-model {k}"] = MLP().build(data.domain).double().eval()
    config = TaskConfig(
        build=partial(build_network, MLP(), defense, data.domain),
        num_classes=3,
        ids={"train": torch.arange(0, 40, 2)},
        given={name: partial(lambda net: net, net) for name, net in given.items()},
        schedule=Schedule(epochs=3, lr=0.1, batch_size=8),
        seed=SEED,
        device=torch.device("cpu"),
        dtype=torch.float64,
    )
    return Task(config, x, data.y)


def split(defense):
    """Which members each sub-model is trained on, from what it requires."""
    required = defense.requires(miabench.Role({"train": torch.arange(0, 40, 2)}, SEED))
    assert {train.defense for train in required.values()} == {"ce"}
    return {name: set(train.ids.tolist()) for name, train in required.items()}


def test_each_member_is_left_out_of_l_sub_models(defense):
    trained_on = split(defense)
    assert len(trained_on) == K
    for member in range(0, 40, 2):
        assert sum(member not in ids for ids in trained_on.values()) == L
    assert set().union(*trained_on.values()) == set(range(0, 40, 2))


def test_whom_a_sub_model_is_without_is_drawn_evenly():
    """With chance 40% each, whatever the member's place or the sub-model's."""
    members = torch.arange(5000)
    required = miabench.create_defense("selena").requires(miabench.Role({"train": members}, 1))
    out = torch.ones(25, 5000)
    for k, train in enumerate(required.values()):
        out[k, train.ids] = 0
    assert ((out.mean(1) - 0.4).abs() < 5 * (0.24 / 5000) ** 0.5).all()
    together = (out[0] * out[1]).mean().item()
    assert together == pytest.approx(10 / 25 * 9 / 24, abs=0.03)


def test_the_network_against_a_slow_twin(defense, task):
    """SGD written out, on the answers of the sub-models that are without a member, one member at a time."""
    trained_on, twin = split(defense), task.net()
    order = [list(task.batches(task.ids["train"])) for _ in range(3)]  # as drawn before
    answers = {}
    for member in range(0, 40, 2):
        without = [task.given[name] for name, ids in trained_on.items() if member not in ids]
        with torch.no_grad():
            answers[member] = torch.stack([net(task.x[[member]])[0].softmax(1)[0] for net in without]).mean(0)
    sgd = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for batches in order:
        for ids in batches:
            log_q = twin(task.x[ids])[0].log_softmax(1)
            loss = -sum(answers[int(i)] @ row for i, row in zip(ids, log_q, strict=True)) / len(ids)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    again = Task(task._config, task.x[:], task.y)
    ours = defense.fit(again).state_dict()
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)


def test_sub_models_are_stored_trainings_on_members_alone(do):
    """Of the target and, for the adaptive attacker, of its shadow model."""
    plan, _, store = do(defense=[{"name": "selena", "sub_models": 3, "left_out": 1}], shadows=1)
    specs = {ref.key: job.spec for job in plan.jobs.values() if job.kind == "train" for ref in job.gives}
    networks = [spec for spec in specs.values() if spec.defense.name == "selena"]
    assert [len(spec.given) for spec in networks] == [3, 3]
    for spec in networks:
        members = set(store.ids(spec.parts["train"].ids))
        parts = [set(store.ids(specs[key].parts["train"].ids)) for key in spec.given.values()]
        assert all(sum(member not in part for part in parts) == 1 for member in members)
        assert all(part <= members for part in parts)


def test_none_can_be_left_out_of_all():
    with pytest.raises(miabench.UserError, match="left_out must be below sub_models"):
        miabench.create_defense("selena", sub_models=3, left_out=3)
