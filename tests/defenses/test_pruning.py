"""Pruning: which weights go, that they stay away, and what the others learn."""

import math
from functools import partial

import pytest
import torch
from miabench.defenses.pruning import pair_divergence, prune
from torch import nn
from torch.nn import functional as F

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig


class Small(miabench.Model, frozen=True):
    """A convolution, batch normalisation and a layer of 12 x 3 weights."""

    def build(self, domain):
        encoder = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
        return Classifier(encoder, nn.Linear(12, 3), 12)


@pytest.fixture
def task():
    x = torch.randn(24, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Data(x, torch.arange(24) % 3, ("a", "b", "c"))
    with global_stream(1, "given"):
        given = Small().build(data.domain).double().eval()
    given.encoder[1].running_mean += 0.1

    def make(defense):
        config = TaskConfig(
            build=partial(build_network, Small(), defense, data.domain),
            num_classes=3,
            ids={"train": torch.arange(23)},
            given={"net": lambda: given},
            schedule=Schedule(epochs=7, lr=0.5, milestones={4: 0.05}, batch_size=8),
            seed=4,
            device=torch.device("cpu"),
            dtype=torch.float64,
        )
        return Task(config, x, data.y)

    return make


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.97])
def test_in_every_layer_the_smallest_go(task, sparsity):
    given, net = task(miabench.create_defense("ce")).given["net"], Small().build(None).double()
    net.load_state_dict(given.state_dict())
    prune(net, sparsity)
    for before, after in zip(given.parameters(), net.parameters(), strict=True):
        if before.ndim == 1:
            assert torch.equal(after, before), "biases and normalisation stay"
            continue
        gone = after == 0
        assert gone.sum() == round(sparsity * before.numel())
        assert torch.equal(after[~gone], before[~gone])
        if gone.any():
            assert before[gone].abs().max() <= before[~gone].abs().min()


@pytest.mark.parametrize(("params", "epochs"), [({}, 3), ({"fine_tune_epochs": 2, "lambda_pair": 0.7}, 2)])
def test_the_fine_tuning_against_a_slow_twin(task, params, epochs):
    """SGD written out at the schedule's last learning rate, every step followed by cutting what was pruned."""
    defense = miabench.create_defense("pruning", sparsity=0.6, **params)
    twin = task(defense)
    net = twin.net().train()
    net.load_state_dict(twin.given["net"].state_dict())
    kept = {}
    for name, weight in net.named_parameters():
        if weight.ndim > 1:
            floor = weight.detach().abs().flatten().sort().values[round(0.6 * weight.numel())]
            kept[name] = weight.detach().abs() >= floor
            weight.data *= kept[name]
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for _ in range(epochs):
        for ids in twin.batches(twin.ids["train"]):
            z = net(twin.x[ids])[0]
            loss = F.cross_entropy(z, twin.y[ids])
            if "lambda_pair" in params:
                p, half = z.softmax(1).sort(1).values, len(ids) // 2
                pairs = [p[half + i] @ (p[half + i] / p[i]).log() for i in range(half)]
                loss = loss + 0.7 * sum(pairs) / half
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            with torch.no_grad():
                for name, weight in net.named_parameters():
                    if name in kept:
                        weight *= kept[name]
    ran = task(defense)
    ours = defense.fit(ran).state_dict()
    assert len(ran.journal.history) == epochs
    for name, value in net.state_dict().items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-12)
    assert all((ours[name][~mask] == 0).all() for name, mask in kept.items())
    assert all(not torch.equal(ours[name], twin.given["net"].state_dict()[name] * kept[name]) for name in kept)


def test_pairs_are_compared_whatever_their_classes():
    """KL of (0.2, 0.3, 0.5) from (0.1, 0.2, 0.7), each sorted; the fifth record has no partner."""
    p = torch.tensor([[0.7, 0.1, 0.2], [0.2, 0.3, 0.5], [0.3, 0.5, 0.2], [0.5, 0.2, 0.3], [1 / 3, 1 / 3, 1 / 3]])
    expected = math.fsum(b * math.log(b / a) for a, b in zip((0.1, 0.2, 0.7), (0.2, 0.3, 0.5), strict=True))
    assert pair_divergence(p.double().log()).item() == pytest.approx(expected / 2, rel=1e-6)


def test_it_starts_from_the_ce_cells_own_network(do):
    plan, _, _ = do(defense=["ce", "pruning"], shadows=1)
    jobs = [job for job in plan.jobs.values() if job.kind == "train"]
    ce = {ref.key for job in jobs if job.spec.defense.name == "ce" for ref in job.gives}
    assert {job.spec.given["net"] for job in jobs if job.spec.defense.name == "pruning"} == ce
    assert len(jobs) == 4
