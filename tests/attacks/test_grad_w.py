"""Weight-gradient norms equal the reference's and the loop over records; recurrent networks work; none are tied."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from miabench import Classifier, Domain, create_attack, create_model
from miabench.plugins.discover import discover

NORMS = {"l1": 1, "l2": 2}


def norms(net, x, y, norm="l2"):
    """Norms as the engine asks for them: in eval mode, gradients switched off around."""
    (probe,) = create_attack("grad-w", norm=norm).probes()
    with torch.no_grad():
        answers = probe.observe(net.eval(), x, y, None)
    assert answers.dtype == torch.float64
    assert answers.shape == y.shape
    return answers.exp().numpy()


def loop(net, x, y, order=2):
    """The same one record at a time, by the definition."""
    found = []
    for i in range(len(x)):
        net.zero_grad()
        F.cross_entropy(net(x[i : i + 1])[0], y[i : i + 1]).backward()
        gradient = torch.cat([p.grad.double().flatten() for p in net.parameters() if p.grad is not None])
        found.append(torch.linalg.vector_norm(gradient, order).item())
    net.zero_grad()
    return found


@pytest.mark.parametrize(("norm", "key"), [("l2", "gradw_l2"), ("l1", "gradw_l1")])
def test_equals_the_reference(golden_net, norm, key):
    net, x, y, arrays = golden_net
    np.testing.assert_allclose(norms(net, x, y, norm), arrays[key], rtol=1e-9)
    np.testing.assert_allclose(norms(net.float(), x.float(), y, norm), arrays[key], rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_a_batch_equals_the_loop_over_records(norm, small_net):
    net, x, y = small_net
    np.testing.assert_allclose(norms(net, x, y, norm), loop(net, x, y, NORMS[norm]), rtol=1e-5)


def test_pieces_change_nothing(monkeypatch, small_net):
    net, x, y = small_net
    whole = norms(net, x, y)
    size = sum(p.nbytes for p in net.parameters())
    for pieces in (1, 7 * size):
        monkeypatch.setattr("miabench.attacks.grad_w.GRADIENT_BYTES", pieces)
        np.testing.assert_allclose(norms(net, x, y), whole, rtol=1e-5)


@pytest.mark.parametrize("train_embedding", [False, True])
def test_recurrent_networks_are_differentiated_record_by_record(train_embedding):
    torch.manual_seed(0)
    domain = Domain((3, 5), 4, vocabulary=20, embedding=torch.randn(20, 6))
    net = discover().get("model", "han").build({"train_embedding": train_embedding}).build(domain).eval()
    x = torch.randint(1, 20, (7, 3, 5))
    x[:, 2, 3:] = 0
    y = torch.arange(7) % 4
    np.testing.assert_allclose(norms(net, x, y), loop(net, x, y), rtol=1e-5)


@pytest.mark.parametrize("model", ["mlp", "cnn", "resnet20"])
def test_built_in_models_are_mapped(model):
    torch.manual_seed(0)
    shape = (30,) if model == "mlp" else (3, 32, 32)
    net = create_model(model, num_classes=10, input_shape=shape).eval()
    x, y = torch.randn(4, *shape), torch.arange(4)
    np.testing.assert_allclose(norms(net, x, y), loop(net, x, y), rtol=1e-4)


def test_frozen_parameters_do_not_count(small_net):
    net, x, y = small_net
    net.encoder[0].weight.requires_grad_(False)
    found = norms(net, x, y)
    np.testing.assert_allclose(found, loop(net, x, y), rtol=1e-5)
    assert net.encoder[0].weight.grad is None


def test_leaves_no_gradients_behind(small_net):
    net, x, y = small_net
    norms(net, x, y)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_running_statistics_are_used_and_left_alone(small_net):
    """Evaluation mode: a record's norm depends on nothing else in its batch."""
    net, x, y = small_net
    before = {name: value.clone() for name, value in net.named_buffers()}
    np.testing.assert_allclose(norms(net, x[:1] * 9, y[:1]), norms(net, x * 9, y)[:1], rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())


def test_saturated_records_are_not_tied():
    torch.manual_seed(0)
    net = Classifier(nn.Identity(), nn.Linear(3, 4, bias=False), 3)
    x = torch.randn(12, 3) * 500
    y = net(x)[0].argmax(1)
    attack = create_attack("grad-w")
    (probe,) = attack.probes()
    score = attack.score({probe: probe.observe(net, x, y, None).numpy()}, {})
    assert len(set(score)) == 12
    assert np.isfinite(score).all()
    assert (np.array(loop(net, x, y)) == 0).sum() > 1, "the plain gradient ties them"


def test_a_smaller_gradient_is_a_member():
    net = Classifier(nn.Identity(), nn.Linear(2, 2, bias=False), 2)
    with torch.no_grad():
        net.head.weight.copy_(torch.eye(2))
    attack = create_attack("grad-w")
    (probe,) = attack.probes()
    x, y = torch.tensor([[3.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 0])
    sure, wrong = attack.score({probe: probe.observe(net, x, y, None).numpy()}, {})
    assert sure > wrong


def test_sees_the_network_itself():
    attack = create_attack("grad-w")
    assert attack.access == "white-box"
    assert [probe.sees for probe in attack.probes()] == ["network"]
