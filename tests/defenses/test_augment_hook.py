"""`Defense.augment`: what a defense changes of what its network is shown while it is trained."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training.checkpoint import Checkpoint
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig


class Linear(miabench.Model, frozen=True):
    """One layer on flat inputs, after dropout."""

    dropout: float = 0.0

    def build(self, domain):
        inputs = math.prod(domain.shape)
        return Classifier(nn.Sequential(nn.Flatten(), nn.Dropout(self.dropout)), nn.Linear(inputs, 3), inputs)


class Hooked(miabench.Defense, frozen=True):
    """Cross entropy."""

    def loss(self, logits, features, targets, epoch):
        return F.cross_entropy(logits, targets)


class Draws(Hooked, frozen=True):
    """Draws from its stream, and shows the records as they are."""

    def augment(self, x, y, generator):
        torch.rand(len(x), generator=generator)
        return x


class Noise(Hooked, frozen=True):
    """Shows the records under noise."""

    def augment(self, x, y, generator):
        return x + torch.randn(x.shape, generator=generator, dtype=x.dtype)


class Nothing(Hooked, frozen=True):
    """Shows empty inputs."""

    def augment(self, x, y, generator):
        return torch.zeros_like(x)


class Mixup(Hooked, frozen=True):
    """Mixes each record with another of its mini-batch, and its class with the other's (Zhang et al., ICLR 2018)."""

    def augment(self, x, y, generator):
        share = torch.rand(len(x), generator=generator, dtype=x.dtype)
        other = torch.randperm(len(x), generator=generator)
        mixed = share[:, None, None, None] * x + (1 - share[:, None, None, None]) * x[other]
        return mixed, (y, y[other], share)

    def loss(self, logits, features, targets, epoch):
        y, other, share = targets
        own, others = (F.cross_entropy(logits, classes, reduction="none") for classes in (y, other))
        return (share * own + (1 - share) * others).mean()


class Seen(Hooked, frozen=True):
    """Keeps what it is given, in a list outside."""

    def augment(self, x, y, generator):
        SEEN.append((x.clone(), y.clone()))
        x.zero_()  # a copy of its own
        return x


SEEN: list[Any] = []


def images(n=22):
    x = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return Data(x, torch.arange(n) % 3, ("a", "b", "c"))


def make_task(defense, dropout=0.0, **changes):
    data = images()
    build = partial(build_network, Linear(dropout=dropout), defense, data.domain)
    values = {
        "num_classes": 3,
        "ids": {"train": torch.arange(20)},
        "given": {},
        "schedule": Schedule(epochs=3, lr=0.1, batch_size=8),
        "seed": 5,
        "device": torch.device("cpu"),
        "dtype": torch.float64,
        "augmentation": "crop-flip",
    }
    return Task(TaskConfig(build, **values | changes), data.x.double(), data.y)


def trained(defense, **changes):
    task = make_task(defense, **changes)
    with global_stream(5, "dropout"):
        return defense.fit(task).state_dict(), task


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_its_chance_is_a_stream_of_its_own():
    """What is drawn there changes neither order, augmentation nor dropout: with and without it is CE's training."""
    ce = trained(miabench.create_defense("ce"), dropout=0.3)[0]
    assert same(ce, trained(Hooked(), dropout=0.3)[0])
    assert same(ce, trained(Draws(), dropout=0.3)[0])
    assert not same(ce, trained(Noise(), dropout=0.3)[0])


def test_it_is_given_a_copy_of_what_the_data_set_shows():
    SEEN.clear()
    _, task = trained(Seen())
    assert torch.equal(task.x[:], images().x.double())
    twin = make_task(Seen())
    expected = [(ids, twin.augment(twin.x[ids])) for _ in range(3) for ids in twin.batches(twin.ids["train"])]
    assert len(SEEN) == len(expected) == 9
    for (x, y), (ids, shown) in zip(SEEN, expected, strict=True):
        assert torch.equal(x, shown)
        assert torch.equal(y, twin.y[ids])


def test_what_it_gives_is_what_is_learnt_from():
    """No weight feels empty inputs, but for its decay."""
    task = make_task(Nothing(), schedule=Schedule(epochs=2, lr=0.1, batch_size=8, weight_decay=0))
    start = task.net().head.weight.detach().clone()
    assert torch.equal(Nothing().fit(task).head.weight, start)


def test_it_draws_anew_for_every_batch_and_epoch():
    """Noise that came again would not change what a record's loss is from one pass to the next."""
    drawn = []

    class Remembers(Noise, frozen=True):
        def augment(self, x, y, generator):
            shown = super().augment(x, y, generator)
            drawn.append((shown - x).flatten()[:5])
            return shown

    trained(Remembers())
    assert len({tuple(noise.tolist()) for noise in drawn}) == len(drawn) == 9


def test_mixed_records_with_mixed_targets():
    """As written out: cross entropy with shares of classes as targets, by SGD with momentum and decay."""
    weights, task = trained(Mixup())
    twin = make_task(Mixup())
    schedule, stream = twin.schedule, twin.generator("defense's augmentation")
    head = twin.net().head
    velocity = [torch.zeros_like(p) for p in head.parameters()]
    accuracies = []
    for _ in range(schedule.epochs):
        right = 0
        for ids in twin.batches(twin.ids["train"]):
            x, y = twin.augment(twin.x[ids]), twin.y[ids]
            share = torch.rand(len(x), generator=stream, dtype=x.dtype)
            other = torch.randperm(len(x), generator=stream)
            shown = torch.stack([s * one + (1 - s) * x[j] for s, one, j in zip(share, x, other, strict=True)])
            z = head(shown.flatten(1))
            classes = torch.eye(3, dtype=x.dtype)
            targets = share[:, None] * classes[y] + (1 - share[:, None]) * classes[y[other]]
            gradients = torch.autograd.grad(F.cross_entropy(z, targets), list(head.parameters()))
            with torch.no_grad():
                for p, v, gradient in zip(head.parameters(), velocity, gradients, strict=True):
                    v.mul_(schedule.momentum).add_(gradient + schedule.weight_decay * p)
                    p.sub_(schedule.lr * v)
            right += (z.argmax(1) == y).sum().item()
        accuracies.append(right / 20)
    torch.testing.assert_close(weights["head.weight"], head.weight.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(weights["head.bias"], head.bias.detach(), rtol=1e-9, atol=1e-12)
    recorded = [record["accuracy"] for record in task.journal.history]
    assert recorded == pytest.approx(accuracies), "of records' own classes"


@pytest.mark.parametrize("defense", [Noise(), Mixup()], ids=["noise", "mixup"])
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path, defense):
    whole, _ = trained(defense)
    stops = [2]

    def stop(record):
        if record["epoch"] in stops:
            stops.clear()
            raise InterruptedError

    changes = {"checkpoint": Checkpoint(tmp_path / "checkpoint", seconds=0), "progress": stop}
    with pytest.raises(InterruptedError):
        trained(defense, **changes)
    again, task = trained(defense, **changes)
    assert [record["epoch"] for record in task.journal.history] == [1, 2, 3]
    assert same(again, whole)
