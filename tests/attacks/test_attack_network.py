"""The written-out network, gradient and SGD equal the reference's and PyTorch's."""

import numpy as np
import pytest
import torch
from miabench.attacks import _attack_network as network
from torch import nn
from torch.nn import functional as F

from miabench import Schedule


def by_rule(num_inputs):
    """Golden e's weights: parameter k holds a * sin(0.7 i + k), a = 2 / sqrt(in) for matrices, 0.1 for biases."""
    values = []
    for k, layer in enumerate(network.layers_of(torch.zeros(network.num_parameters(num_inputs)), num_inputs)):
        for j, part in enumerate(layer):
            scale = 0.1 if j else 2 / layer.weight.shape[1] ** 0.5
            values.append(scale * torch.sin(0.7 * torch.arange(part.numel(), dtype=torch.float64) + 2 * k + j))
    return torch.cat(values)


def as_modules(vector, num_inputs):
    """The same network of PyTorch's modules, without dropout."""
    linear = [nn.utils.skip_init(nn.Linear, w.shape[1], w.shape[0]) for w, _ in network.layers_of(vector, num_inputs)]
    net = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2], linear[3]).to(vector.dtype)
    nn.utils.vector_to_parameters(vector.clone(), net.parameters())
    return net


@pytest.mark.parametrize("name", ["net10", "net100"])
def test_equals_the_reference(golden, name):
    vectors = golden("e_nn_attack")
    about = vectors.json["nets"][name]
    x = torch.tensor(vectors.arrays[f"{name}.x"])
    assert network.num_parameters(about["in_dim"]) == about["params"]
    vector = by_rule(about["in_dim"])
    layers = network.layers_of(vector, about["in_dim"])
    values = network.forward(layers, x)
    exact = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(values[-1], vectors.arrays[f"{name}.logits"], **exact)
    np.testing.assert_allclose(values[-1].softmax(1)[:, 1], vectors.arrays[f"{name}.member_prob"], **exact)
    wanted = F.one_hot(torch.tensor([1, 0, 1, 1, 0, 0]), 2)
    ones = [torch.ones(6, width, dtype=torch.float64) for width in network.DROPPED]
    gradient = torch.empty_like(vector)
    out = network.layers_of(gradient, about["in_dim"])
    network.backward(layers, values, ones, (values[-1].softmax(1) - wanted) / 6, out)
    np.testing.assert_allclose(out[0].weight.sum(1), vectors.arrays[f"{name}.g_first_weight_rowsum"], **exact)


def test_gradient_with_dropout_equals_autograd():
    generator = torch.Generator().manual_seed(1)
    vector = network.initial(10, generator).double().requires_grad_()
    x, y = torch.randn(16, 10, dtype=torch.float64), torch.arange(16) % 2
    masks = [mask.double() for mask in network.dropout(16, generator)]
    w = [part for layer in network.layers_of(vector, 10) for part in layer]
    hidden = F.linear(x, w[0], w[1]).relu() * masks[0]
    hidden = F.linear(hidden, w[2], w[3]).relu() * masks[1]
    output = F.linear(F.linear(hidden, w[4], w[5]), w[6], w[7])
    (expected,) = torch.autograd.grad(F.cross_entropy(output, y), vector)

    layers = network.layers_of(vector.detach(), 10)
    values = network.forward(layers, x, masks)
    found = torch.empty_like(expected)
    error = (values[-1].softmax(1) - F.one_hot(y, 2)) / 16
    network.backward(layers, values, masks, error, network.layers_of(found, 10))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16)


def test_training_equals_pytorchs_sgd(monkeypatch):
    """Whole training without dropout: batches (the last one short), milestones, momentum and weight decay."""
    ones = lambda n, generator: [torch.ones(n, width) for width in network.DROPPED]  # noqa: E731
    monkeypatch.setattr(network, "dropout", ones)
    schedule = Schedule(epochs=3, lr=0.1, milestones={1: 0.05}, momentum=0.9, weight_decay=0.01, batch_size=8)
    x, y = torch.randn(20, 6), torch.arange(20) % 2
    found = network.train(x, y, schedule, torch.Generator().manual_seed(3))

    generator = torch.Generator().manual_seed(3)
    net = as_modules(network.initial(6, generator), 6)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for epoch in (1, 2, 3):
        sgd.param_groups[0]["lr"] = 0.1 if epoch == 1 else 0.05
        order = torch.randperm(20, generator=generator)
        for ids in (order[:8], order[8:16], order[16:]):
            sgd.zero_grad()
            F.cross_entropy(net(x[ids]), y[ids]).backward()
            sgd.step()
    np.testing.assert_allclose(found, nn.utils.parameters_to_vector(net.parameters()).detach(), rtol=1e-4, atol=1e-6)


def test_dropout_keeps_four_fifths_of_the_units_at_five_quarters():
    first, second = network.dropout(2000, torch.Generator().manual_seed(0))
    assert (first.shape, second.shape) == ((2000, 128), (2000, 64))
    for mask in (first, second):
        assert set(mask.unique().tolist()) == {0.0, 1.25}
        sampling = 4 * (0.2 * 0.8 / mask.numel()) ** 0.5
        assert (mask == 0).double().mean().item() == pytest.approx(0.2, abs=sampling)
        assert (mask == 0).double().mean(0).max() < 0.25, "no unit is dropped more often than others"


def test_initial_weights_are_pytorchs_default():
    vector = network.initial(40, torch.Generator().manual_seed(0))
    for weight, bias in network.layers_of(vector, 40):
        bound = weight.shape[1] ** -0.5
        assert max(weight.abs().max(), bias.abs().max()) <= bound
        if weight.numel() > 1000:
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert bias.unique().numel() == bias.numel()
