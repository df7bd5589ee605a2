"""Gradient norms equal the reference's and the loop over records; saturated records keep theirs."""

from decimal import Decimal, localcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from miabench import Classifier, Data, RecordNoise, create_attack

NORMS = {"l1": 1, "l2": 2, "l-inf": torch.inf}


def norms(net, x, y, norm="l2"):
    """Norms as the engine asks for them: in eval mode, gradients switched off around."""
    (probe,) = create_attack("grad-x", norm=norm).probes()
    with torch.no_grad():
        answers = probe.observe(net.eval(), x, y, RecordNoise(x, 0))
    assert answers.dtype == torch.float64
    assert answers.shape == y.shape
    return answers.exp().numpy()


def loop(net, x, y, order):
    """The same one record at a time, by the definition."""
    found = []
    for i in range(len(x)):
        one = x[i : i + 1].clone().requires_grad_()
        F.cross_entropy(net(one)[0], y[i : i + 1]).backward()
        found.append(torch.linalg.vector_norm(one.grad.double(), order).item())
    return found


@pytest.mark.parametrize(("norm", "key"), [("l2", "gradx_l2"), ("l1", "gradx_l1"), ("l-inf", "gradx_max")])
def test_equals_the_reference(golden_net, norm, key):
    net, x, y, arrays = golden_net
    np.testing.assert_allclose(norms(net, x, y, norm), arrays[key], rtol=1e-9)
    np.testing.assert_allclose(norms(net.float(), x.float(), y, norm), arrays[key], rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_a_batch_equals_the_loop_over_records(norm, small_net):
    net, x, y = small_net
    np.testing.assert_allclose(norms(net, x, y, norm), loop(net, x, y, NORMS[norm]), rtol=1e-6)


def test_leaves_no_gradients_behind(small_net):
    net, x, y = small_net
    norms(net, x, y)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not x.requires_grad


def test_saturated_records_are_not_tied():
    """A linear network, whose gradient sum_i (p_i - [i = y]) w_i is worked out with 200 digits."""
    torch.manual_seed(0)
    net = Classifier(nn.Identity(), nn.Linear(3, 4, bias=False), 3)
    x = torch.randn(12, 3) * 500
    y = net(x)[0].argmax(1)
    found = norms(net, x, y)
    assert len(set(found)) == 12
    assert min(found) < 1e-30
    assert (np.array(loop(net, x, y, 2)) == 0).sum() > 1, "the plain gradient ties them"
    logits = net(x)[0].tolist()
    expected = [exact_norm(net.head.weight.tolist(), z, label) for z, label in zip(logits, y.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def exact_norm(weight, logits, label):
    with localcontext() as context:
        context.prec = 200
        e = [Decimal(z).exp() for z in logits]
        error = [value / sum(e) - (i == label) for i, value in enumerate(e)]
        columns = zip(*weight, strict=True)
        slope = [sum(d * Decimal(w) for d, w in zip(error, column, strict=True)) for column in columns]
        return float(sum(value * value for value in slope).sqrt())


def test_a_gradient_of_zero_gives_a_finite_score():
    net = Classifier(nn.ReLU(), nn.Linear(3, 4), 3)
    x, y = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]), torch.tensor([0, 0])
    attack = create_attack("grad-x")
    (probe,) = attack.probes()
    score = attack.score({probe: probe.observe(net, x, y, RecordNoise(x, 0)).numpy()}, {})
    assert np.isfinite(score).all()
    assert score[0] > score[1]


def test_sees_the_network_itself():
    attack = create_attack("grad-x")
    assert attack.access == "white-box"
    assert [probe.sees for probe in attack.probes()] == ["network"]
    assert not attack.probes()[0].whole_pool


def test_tokens_are_not_supported():
    attack = create_attack("grad-x")
    tokens = Data(torch.zeros(4, 7, dtype=torch.int64), torch.arange(4) % 2, ("a", "b"))
    reals = Data(torch.zeros(4, 7), torch.arange(4) % 2, ("a", "b"))
    assert "integer tokens, which have no gradient" in attack.unsupported("disjoint", tokens, SimpleNamespace())
    assert attack.unsupported("disjoint", reals, SimpleNamespace()) is None
