"""HAMP: its soft labels and loss from their definitions, and what it answers."""

import math
from functools import partial

import pytest
import torch
from miabench.defenses.hamp import confidence_of_entropy, random_inputs
from torch import nn

import miabench
from miabench import seeds
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.serving import RecordNoise, Served
from miabench.training.task import Task, TaskConfig


def entropy(p):
    return -math.fsum(q * math.log(q) for q in p if q > 0)


def soft_label(a, num_classes, y):
    return [a if j == y else (1 - a) / (num_classes - 1) for j in range(num_classes)]


@pytest.mark.parametrize("num_classes", [2, 10, 100])
@pytest.mark.parametrize("gamma", [0.0, 0.05, 0.5, 0.95, 0.999])
def test_soft_labels_have_the_entropy_that_is_asked_for(gamma, num_classes):
    a = confidence_of_entropy(gamma, num_classes)
    assert 1 / num_classes < a <= 1
    assert entropy(soft_label(a, num_classes, 0)) == pytest.approx(gamma * math.log(num_classes), abs=1e-9)


def test_the_label_smoothing_of_the_authors_scripts():
    """Which call 5% of the largest entropy on 100 classes "a smoothing intensity of 0.03" (0.01 is their step)."""
    assert 1 - confidence_of_entropy(0.05, 100) == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.95, 0.01), (0.5, 0.3), (0.0, 0.1)])
def test_the_loss(gamma, alpha):
    logits = 3 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([0, 1, 2, 3, 0])
    expected = 0.0
    for z, y in zip(logits.tolist(), targets.tolist(), strict=True):
        p = [math.exp(v) / math.fsum(map(math.exp, z)) for v in z]
        t = soft_label(confidence_of_entropy(gamma, 4), 4, y)
        expected += math.fsum(b * math.log(b / q) for b, q in zip(t, p, strict=True) if b > 0) - alpha * entropy(p)
    defense = miabench.create_defense("hamp", gamma=gamma, alpha=alpha)
    loss = defense.loss(logits, torch.zeros(5, 0), targets, 1)
    assert loss.item() == pytest.approx(expected / 5, rel=1e-9)


class Tiny(miabench.Model, frozen=True):
    """One layer behind batch normalisation."""

    def build(self, domain):
        return Classifier(nn.BatchNorm1d(5), nn.Linear(5, domain.num_classes), 5)


@pytest.fixture(scope="module")
def trained():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    data = Data(x, torch.arange(60) % 3, ("a", "b", "c"))
    defense = miabench.create_defense("hamp", samples=50)
    ids = {"train": torch.arange(40)}
    build = partial(build_network, Tiny(), defense, data.domain)
    schedule = Schedule(epochs=3, lr=0.1, batch_size=8)
    task = Task(TaskConfig(build, 3, ids, {}, schedule, seed=2, device=torch.device("cpu")), x, data.y)
    return defense, defense.fit(task).eval(), x


def test_what_is_kept_are_the_trained_networks_answers_to_random_inputs(trained):
    _, net, x = trained
    random = random_inputs(x[:40], 50, seeds.generator(2, "random inputs"))
    with torch.no_grad():
        expected = net(random)[0].sort(1).values
    torch.testing.assert_close(net.random_answers, expected)


def test_a_record_is_answered_with_a_random_inputs_logits_in_its_own_order(trained):
    defense, net, x = trained
    with torch.no_grad():
        own, answered = net(x)[0], Served(net, defense.serve, 7)(x)[0]
    assert torch.equal(answered.argsort(1), own.argsort(1))
    kept = {tuple(row) for row in net.random_answers.tolist()}
    drawn = [tuple(row) for row in answered.sort(1).values.tolist()]
    assert set(drawn) <= kept
    assert len(set(drawn)) > 20, "each record draws its own"


def test_every_random_input_can_be_drawn(trained):
    defense, net, _ = trained
    logits = torch.zeros(3000, 3) + torch.arange(3.0)
    answered = defense.serve(net, logits, RecordNoise(torch.arange(3000.0)[:, None], 7))
    assert len(answered.unique(dim=0)) == len(net.random_answers.unique(dim=0))


def test_random_inputs():
    x = torch.tensor([[0.0, -1.0, 5.0, 2.0], [1.0, -1.0, 7.0, 2.0], [1.0, 3.0, 6.5, 2.0]])
    drawn = random_inputs(x, 4000, torch.Generator().manual_seed(0))
    assert drawn.shape == (4000, 4)
    for place, (low, high) in enumerate(((0, 1), (-1, 3))):
        assert drawn[:, place].unique().tolist() == [low, high]
        assert (drawn[:, place] == low).double().mean() == pytest.approx(0.5, abs=0.04)
    between = drawn[:, 2]
    assert (between.min(), between.max()) == (pytest.approx(5, abs=0.01), pytest.approx(7, abs=0.01))
    assert between.std() == pytest.approx(2 / math.sqrt(12), abs=0.03)
    assert (drawn[:, 3] == 2).all()


def test_random_documents():
    x = torch.tensor([[0, 3], [2, 3], [4, 9]])
    drawn = random_inputs(x, 500, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.int64
    assert [drawn[:, place].unique().tolist() for place in (0, 1)] == [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7, 8, 9]]
