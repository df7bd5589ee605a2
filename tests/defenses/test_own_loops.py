"""Every loop of its own trains the classifier on augmented records and in train mode, as the shared loop does."""

from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

OWN_LOOPS = {
    "ce": {},
    "copy": {},
    "advreg": {"alpha": 0.0},
    "dmp": {},
    "dp-sgd": {"noise_multiplier": 1e-12},
    "early-stopping": {"patience": 9},
    "hamp": {"samples": 5},
    "pruning": {"sparsity": 0.0},
    "selena": {"sub_models": 2, "left_out": 1},
}
GIVEN = ("teacher", "net", "sub-model 0", "sub-model 1")


class Watch(nn.Module):
    """Remembers in which mode it was differentiated."""

    modes: ClassVar[set[bool]] = set()

    def forward(self, x):
        if torch.is_grad_enabled():
            self.modes.add(self.training)
        return x


class Linear(miabench.Model, frozen=True):
    """One layer, the first, whose weight feels nothing where all inputs are 0."""

    def build(self, domain):
        return Classifier(Watch(), nn.Linear(*domain.shape, domain.num_classes), *domain.shape)


def weight(name, augment):
    """Of the trained network, and as it was."""
    x = torch.randn(24, 5, generator=torch.Generator().manual_seed(1)).abs()
    data = Data(x, torch.arange(24) % 3, ("a", "b", "c"))
    defense = miabench.create_defense(name, **OWN_LOOPS[name])
    setting = TaskConfig(
        build=partial(build_network, Linear(), defense, data.domain),
        num_classes=data.num_classes,
        ids={"train": torch.arange(12), "reference": torch.arange(12, 24), "validation": torch.arange(12, 24)},
        given={name: partial(lambda net: net, Linear().build(data.domain).eval()) for name in GIVEN},
        schedule=Schedule(epochs=2, lr=0.1, batch_size=4, weight_decay=0),
        seed=3,
        device=torch.device("cpu"),
        answers={"original": 5 * torch.nn.functional.one_hot(data.y, data.num_classes).float()},
    )
    task = Task(setting, x, data.y)
    if augment:
        task.augment = augment
    start = task.given["net"] if name == "pruning" else task.net()
    return defense.fit(task).head.weight.detach(), start.head.weight.detach()


@pytest.mark.parametrize("name", OWN_LOOPS)
def test_what_is_not_seen_is_not_learnt(name):
    """A weight stays as it is where every record is augmented to nothing."""
    if name == "dp-sgd":
        pytest.importorskip("opacus")
    Watch.modes.clear()
    trained, start = weight(name, None)
    assert Watch.modes == {True}
    assert (trained - start).abs().max() > 0.01
    trained, start = weight(name, torch.zeros_like)
    torch.testing.assert_close(trained, start, rtol=0, atol=1e-6)


def test_no_loop_is_left_out():
    """Memguard, purifier and weight-decay train no classifier, and dmp-gan's loop is dmp's."""
    fit = {found.name for found in discover().all("defense") if found.load().fit is not miabench.Defense.fit}
    assert fit - {"memguard", "purifier", "weight-decay", "dmp-gan"} == OWN_LOOPS.keys() - {"ce"}
