"""Observations to attack, without training anything."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from miabench import Classifier, Logits, Observed


@pytest.fixture
def observe():
    """What an attack sees of a model that answered these logits."""

    def observe(logits, labels, member=None):
        logits = np.asarray(logits, dtype=np.float32)
        member = None if member is None else np.asarray(member, dtype=bool)
        return Observed(np.asarray(labels), member, logits.shape[1], {Logits(): logits}, {})

    return observe


@pytest.fixture
def saturated(observe):
    """Records whose float32 softmax is exactly one-hot, surer and surer of their true class."""
    logits = np.zeros((6, 4))
    logits[np.arange(6), [0, 1, 2, 3, 0, 1]] = [105, 110, 120, 140, 170, 180]
    return observe(logits, [0, 1, 2, 3, 0, 1])


@pytest.fixture
def compare():
    """What an attack sees of one of M models that answered one probe about the same records: the others are references.

    `keep` (M, N) says which model trained on which record; `withheld` (M, N) which withheld it.
    """

    def compare(probe, answers, keep, target=0, withheld=False, **more):
        answers, keep = np.asarray(answers), np.asarray(keep, dtype=bool)
        others = [model for model in range(len(answers)) if model != target]
        given = {"labels": np.zeros(answers.shape[1], dtype=np.int64), "member": None, "num_classes": 2} | more
        return Observed(
            answers={probe: answers[target]},
            references={probe: answers[others]},
            reference_in=keep[others],
            reference_out=~(keep | withheld)[others],
            **given,
        )

    return compare


@pytest.fixture
def pool():
    """Log odds (M, N) of 11 models that trained on random halves of 60 records, and which trained on which (M, N).

    Records differ in difficulty and in spread; members answer surer.
    """
    random = np.random.default_rng(0)
    keep = random.random((11, 60)) < 0.5
    spread = random.gamma(4, 0.25, 60)
    phi = random.normal(size=60) * 2 + random.normal(size=(11, 60)) * spread + np.where(keep, 1.5, 0)
    return phi, keep


class Golden(nn.Module):
    """The network of golden d."""

    def __init__(self):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.c2, self.b2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = F.max_pool2d(self.b1(self.c1(x)).relu(), 2)
        features = self.b2(self.c2(x)).relu().mean((2, 3))
        return self.fc(features), features


@pytest.fixture
def golden_net(golden):
    arrays = golden("d_gradx").arrays
    net = Golden().double()
    weights = {key[2:]: torch.tensor(value) for key, value in arrays.items() if key.startswith("w.")}
    missing = net.load_state_dict(weights, strict=False).missing_keys
    assert all("num_batches_tracked" in name for name in missing)
    return net, torch.tensor(arrays["x"]), torch.tensor(arrays["y"]), arrays


@pytest.fixture
def small_net():
    """A convolutional network in eval mode whose batch norm has seen data, with 40 records and their classes."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(), nn.Flatten()
    net = Classifier(nn.Sequential(*layers), nn.Linear(128, 5), 128)
    with torch.no_grad():
        for _ in range(3):
            net.train()(torch.randn(32, 3, 11, 11) * 2 + 1)  # running means and variances that are not 0 and 1
    return net.eval(), torch.randn(40, 3, 11, 11), torch.arange(40) % 5
