"""The convex-concave loss, from its formula in plain floats."""

import math

import pytest
import torch

import miabench

F = {"exponential": lambda p: -math.exp(p), "quadratic": lambda p: -(p + p * p / 2)}


def loss(defense, logits, targets):
    return defense.criterion(logits.shape[1], 0)(logits, torch.zeros(len(targets), 0), targets, 1)


@pytest.fixture
def batch():
    """Logits (6, 4) and targets: sure and right, sure and wrong, unsure."""
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[0, 0] += 30
    logits[1, 2] += 30
    return logits, torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize("concave", F)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_formula(batch, alpha, concave):
    logits, targets = batch
    expected = []
    for z, y in zip(logits.tolist(), targets.tolist(), strict=True):
        p = math.exp(z[y]) / math.fsum(map(math.exp, z))
        expected.append(-alpha * math.log(p) + (1 - alpha) * F[concave](p))
    defense = miabench.create_defense("ccl", alpha=alpha, concave=concave)
    assert loss(defense, logits, targets).item() == pytest.approx(math.fsum(expected) / 6, rel=1e-12)


def test_alpha_one_is_cross_entropy(batch):
    ours, ce = (
        loss(miabench.create_defense(name, **params), *batch) for name, params in (("ccl", {"alpha": 1}), ("ce", {}))
    )
    torch.testing.assert_close(ours, ce, rtol=1e-14, atol=0)


@pytest.mark.parametrize("concave", F)
def test_the_second_term_is_falling_and_concave(concave):
    """As the paper asks of f on [0, 1]; read off two classes, whose logits are log p and log (1 - p)."""
    p = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    defense = miabench.create_defense("ccl", alpha=0, concave=concave)
    f = torch.stack([loss(defense, torch.stack([q, 1 - q])[None].log(), torch.tensor([0])) for q in p])
    steps = f.diff()
    assert (steps < 0).all()
    assert (steps.diff() < 0).all()
