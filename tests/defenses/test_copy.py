"""An attacker's copy learns the model's answers, as a training written out in float64 does."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

N, D, C, LR = 10, 5, 3, 0.5


class Linear(miabench.Model, frozen=True):
    def build(self, domain):
        return Classifier(nn.Identity(), nn.Linear(*domain.shape, domain.num_classes), *domain.shape)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize(("tau", "weight"), [(1.0, 0.0), (2.0, 0.0), (2.0, 0.3), (1.0, 1.0)])
def test_one_step_is_the_formulas(tau, weight):
    """The gradient of KL at tau by the logits is (q - p) / tau, of CE softmax(z) - onehot."""
    random = torch.Generator().manual_seed(0)
    x, logits = torch.randn(N, D, generator=random), 3 * torch.randn(N, C, generator=random)
    data, ids = Data(x, torch.arange(N) % C, ("a", "b", "c")), torch.tensor([7, 1, 4, 2])
    defense = miabench.create_defense("copy", tau=tau, label_weight=weight)
    config = TaskConfig(
        build=partial(build_network, Linear(), defense, data.domain),
        num_classes=C,
        ids={"train": ids},
        given={},
        schedule=Schedule(epochs=1, lr=LR, batch_size=8, weight_decay=0, momentum=0),
        seed=3,
        device=torch.device("cpu"),
        answers={"original": logits},
    )
    task = Task(config, x, data.y)
    weights, bias = (p.detach().double().numpy() for p in task.net().head.parameters())
    net = defense.fit(task)
    own, z = x[ids].double().numpy(), x[ids].double().numpy() @ weights.T + bias
    p, q = softmax(logits[ids].double().numpy() / tau), softmax(z / tau)
    error = (1 - weight) * (q - p) / tau + weight * (softmax(z) - np.eye(C)[data.y[ids]])
    np.testing.assert_allclose(net.head.weight.detach(), weights - LR * error.T @ own / len(ids), atol=1e-6)
    np.testing.assert_allclose(net.head.bias.detach(), bias - LR * error.mean(0), atol=1e-6)


def test_withheld_records_are_a_share_only_where_asked_for():
    assert miabench.create_defense("copy").withhold() == {}
    assert miabench.create_defense("copy", withheld_fraction=0.5).withhold() == {"withheld": 0.5}
