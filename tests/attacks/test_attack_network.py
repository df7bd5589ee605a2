"""The written-out network, gradient and SGD equal the reference's and PyTorch's."""

import numpy as np
import pytest
import torch
from miabench.attacks import _attack_network as network
from torch import nn
from torch.nn import functional as F

from miabench import Schedule


def by_rule(num_classes):
    """Golden e's layers: parameter k holds a * sin(0.7 i + k), a = 2 / sqrt(in) for matrices, 0.1 for biases."""
    layers = []
    for k, (ins, outs) in enumerate([(2 * num_classes, 128), (128, 64), (64, 64), (64, 2)]):
        weight, bias = (
            torch.sin(0.7 * torch.arange(n, dtype=torch.float64) + j)
            for j, n in ((2 * k, ins * outs), (2 * k + 1, outs))
        )
        layers.append(network.Layer(2 / ins**0.5 * weight.view(outs, ins), 0.1 * bias))
    return layers


def vector_of(layers, num_classes):
    """The parameter vector of a network with these layers."""
    vector = layers[0].weight.new_empty(network.num_parameters(num_classes, num_classes))
    of_class, *matrices = network.matrices_of(vector, num_classes, num_classes)
    of_class.copy_(layers[0].weight[:, num_classes:].t())
    inputs = (layers[0].weight[:, :num_classes], *(layer.weight for layer in layers[1:]))
    for matrix, weight, layer in zip(matrices, inputs, layers, strict=True):
        matrix[:-1], matrix[-1] = weight.t(), layer.bias
    return vector


def gradient_of(vector, records):
    """Log odds of the records, the gradient's layers of their mean cross entropy, and the masks of dropout."""
    velocity = torch.zeros_like(vector)
    weights, gradient = (network.matrices_of(values, *records.sizes) for values in (vector, velocity))
    step = network.Step(weights, gradient, len(records.member))
    odds = step.forward(records, torch.Generator().manual_seed(2))
    step.backward(records, (odds.sigmoid() - records.member) / len(odds))
    return odds, network.layers_of(velocity, *records.sizes), step.masks.parts


def records_of(x, member):
    """From inputs: softmax and one-hot class."""
    p, classes = x.chunk(2, 1)
    return network.Records(F.pad(p, (0, 1), value=1.0), classes.argmax(1), member.to(x.dtype))


def random_records(n, num_classes, dtype):
    """Softmax and one-hot class of n records (n, 2C)."""
    p = torch.randn(n, num_classes, dtype=dtype).softmax(1)
    return torch.cat([p, F.one_hot(torch.randint(num_classes, (n,)), num_classes).to(dtype)], 1)


def as_modules(layers):
    """The same network of PyTorch's modules, without dropout."""
    linear = [nn.utils.skip_init(nn.Linear, *layer.weight.t().shape) for layer in layers]
    net = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2], linear[3])
    nn.utils.vector_to_parameters(torch.cat([part.flatten() for layer in layers for part in layer]), net.parameters())
    return net


@pytest.mark.parametrize("name", ["net10", "net100"])
def test_equals_the_reference(golden, name, monkeypatch):
    monkeypatch.setattr(network, "DROP", 0.0)
    vectors = golden("e_nn_attack")
    about = vectors.json["nets"][name]
    x, num_classes = torch.tensor(vectors.arrays[f"{name}.x"]), about["in_dim"] // 2
    assert network.num_parameters(num_classes, num_classes) == about["params"]
    layers = by_rule(num_classes)
    logits = network.forward(layers, x)
    exact = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(logits, vectors.arrays[f"{name}.logits"], **exact)
    np.testing.assert_allclose(logits.softmax(1)[:, 1], vectors.arrays[f"{name}.member_prob"], **exact)
    records = records_of(x, torch.tensor([1, 0, 1, 1, 0, 0]))
    odds, gradient, _ = gradient_of(vector_of(layers, num_classes), records)
    np.testing.assert_allclose(odds, logits[:, 1] - logits[:, 0], **exact)
    np.testing.assert_allclose(gradient[0].weight.sum(1), vectors.arrays[f"{name}.g_first_weight_rowsum"], **exact)


def test_layers_are_those_of_the_vector():
    layers = by_rule(3)
    for found, expected in zip(network.layers_of(vector_of(layers, 3), 3, 3), layers, strict=True):
        np.testing.assert_array_equal(found.weight, expected.weight)
        np.testing.assert_array_equal(found.bias, expected.bias)


@torch.no_grad()
def test_gradient_with_dropout_equals_autograd():
    layers = network.layers_of(network.initial(5, 5, torch.Generator().manual_seed(1)).double(), 5, 5)
    x, y = random_records(16, 5, torch.float64), torch.arange(16) % 2
    odds, gradient, masks = gradient_of(vector_of(layers, 5), records_of(x, y))

    w = [part.requires_grad_() for layer in layers for part in layer]
    with torch.enable_grad():
        hidden = F.linear(x, w[0], w[1]).relu() * masks[0]
        hidden = F.linear(hidden, w[2], w[3]).relu() * masks[1]
        output = F.linear(F.linear(hidden, w[4], w[5]), w[6], w[7])
        expected = torch.autograd.grad(F.cross_entropy(output, y), w)
    assert 0 < (masks[0] == 0).double().mean() < 0.5
    np.testing.assert_allclose(odds, output[:, 1] - output[:, 0], rtol=1e-12, atol=1e-14)
    for found, part in zip([part for layer in gradient for part in layer], expected, strict=True):
        np.testing.assert_allclose(found, part, rtol=1e-12, atol=1e-16)


def test_one_hot_inputs_and_classes_give_the_same():
    """Inputs without classes, among them the same one-hot vectors: odds and gradient, dropout included."""
    layers = by_rule(5)
    x, y = random_records(16, 5, torch.float64), torch.arange(16) % 2
    wide = network.Records(F.pad(x, (0, 1), value=1.0), None, y.double())
    vector = torch.cat([torch.cat([layer.weight.t(), layer.bias[None]]).flatten() for layer in layers])
    assert network.num_parameters(10, 0) == len(vector)
    with torch.no_grad():
        odds, gradient, _ = gradient_of(vector_of(layers, 5), records_of(x, y))
        same_odds, same_gradient, _ = gradient_of(vector, wide)
    np.testing.assert_allclose(same_odds, odds, rtol=1e-12, atol=1e-14)
    for found, expected in zip(same_gradient, gradient, strict=True):
        np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-10, atol=1e-16)
        np.testing.assert_allclose(found.bias, expected.bias, rtol=1e-10, atol=1e-16)


def test_training_equals_pytorchs_sgd(monkeypatch):
    """Whole training without dropout: batches (the last one short), milestones, momentum and weight decay."""
    ones = lambda masks, generator: [torch.ones_like(part) for part in masks.parts]  # noqa: E731
    monkeypatch.setattr(network, "DROP", 0.0)
    monkeypatch.setattr(network.Masks, "draw", ones)
    schedule = Schedule(epochs=3, lr=0.1, milestones={1: 0.05}, momentum=0.9, weight_decay=0.01, batch_size=8)
    x, y = random_records(20, 3, torch.float32), torch.arange(20) % 2
    found = network.layers_of(network.train(records_of(x, y), schedule, torch.Generator().manual_seed(3)), 3, 3)

    generator = torch.Generator().manual_seed(3)
    net = as_modules(network.layers_of(network.initial(3, 3, generator), 3, 3))
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for epoch in (1, 2, 3):
        sgd.param_groups[0]["lr"] = 0.1 if epoch == 1 else 0.05
        order = torch.randperm(20, generator=generator)
        for ids in (order[:8], order[8:16], order[16:]):
            sgd.zero_grad()
            F.cross_entropy(net(x[ids]), y[ids]).backward()
            sgd.step()
    for part, expected in zip([part for layer in found for part in layer], net.parameters(), strict=True):
        np.testing.assert_allclose(part, expected.detach(), rtol=1e-4, atol=1e-6)


def test_dropout_keeps_four_fifths_of_the_units_at_five_quarters():
    masks = network.Masks(2000, torch.device("cpu"))
    first, second = masks.draw(torch.Generator().manual_seed(0))
    assert (first.shape, second.shape) == ((2000, 128), (2000, 64))
    for mask in (first, second):
        assert set(mask.unique().tolist()) == {0.0, 1.25}
        sampling = 4 * (0.2 * 0.8 / mask.numel()) ** 0.5
        assert (mask == 0).double().mean().item() == pytest.approx(0.2, abs=sampling)
        assert (mask == 0).double().mean(0).max() < 0.25, "no unit is dropped more often than others"


def test_initial_weights_are_pytorchs_default():
    vector = network.initial(20, 20, torch.Generator().manual_seed(0))
    for weight, bias in network.layers_of(vector, 20, 20):
        bound = weight.shape[1] ** -0.5
        assert max(weight.abs().max(), bias.abs().max()) <= bound
        if weight.numel() > 1000:
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert bias.unique().numel() == bias.numel()
