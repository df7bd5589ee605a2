"""Samia's network: against PyTorch's own layers, and its random numbers."""

import numpy as np
import pytest
import torch
from miabench.attacks._self_attention import DROP, EncoderLayer, dropout, train, untrained
from torch import nn
from torch.nn import functional as F

from miabench import Schedule

STEPS = Schedule(epochs=2, lr=0.05, milestones={1: 0.01}, momentum=0.9, weight_decay=0.01, batch_size=8)


def pytorchs(layer):
    """PyTorch's encoder layer with the same weights."""
    other = nn.TransformerEncoderLayer(64, 4, 128, DROP, activation="gelu", batch_first=True)
    names = {
        "query_key_value.": "self_attn.in_proj_",
        "attended.": "self_attn.out_proj.",
        "first_norm.": "norm1.",
        "widen.": "linear1.",
        "narrow.": "linear2.",
        "second_norm.": "norm2.",
    }
    state = layer.state_dict()
    other.load_state_dict({new + part: state[old + part] for old, new in names.items() for part in ("weight", "bias")})
    return other.double().eval()


def test_a_layer_is_pytorchs():
    torch.manual_seed(0)
    layer, x = EncoderLayer().double(), torch.randn(5, 7, 64, dtype=torch.float64)
    torch.testing.assert_close(layer(x, None), pytorchs(layer)(x), rtol=1e-12, atol=1e-12)


def test_dropout_hides_a_fifth_and_keeps_the_mean():
    x = torch.ones(400, 501, requires_grad=True)
    given = dropout(x, torch.Generator().manual_seed(0))
    values, counts = given.detach().unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0, 1 / 0.8]))
    assert counts[0] / x.numel() == pytest.approx(0.2, abs=4 * (0.16 / x.numel()) ** 0.5)
    given.sum().backward()
    torch.testing.assert_close(x.grad, given.detach())


def test_nothing_is_hidden_without_a_generator():
    x = torch.randn(3, 5)
    assert dropout(x, None) is x


def test_every_number_is_hidden_by_a_draw_of_its_own():
    """Of neighbours, rows and columns, as of any two: a fifth of a fifth are hidden both."""
    hidden = (dropout(torch.ones(1000, 32), torch.Generator().manual_seed(1)) == 0).double().numpy()
    for one, other in ((hidden[:, :-1], hidden[:, 1:]), (hidden[:-1], hidden[1:]), (hidden[:, :-4], hidden[:, 4:])):
        assert (one * other).mean() == pytest.approx(0.04, abs=0.006)


def test_training_is_sgd_with_the_schedules_rates_on_batches_of_the_generators_order(monkeypatch):
    """A slow twin without momentum's helper: dropout off on both sides, so that orders alone are drawn."""
    random = torch.Generator().manual_seed(3)
    x, member = torch.rand(21, 12, generator=random), torch.arange(21) % 2
    monkeypatch.setattr("miabench.attacks._self_attention.DROP", 0.0)
    found = train(x, member, STEPS, torch.Generator().manual_seed(0))

    generator = torch.Generator().manual_seed(0)
    net = untrained(4)
    for module in net.modules():
        if isinstance(module, nn.Linear):
            out, ins = module.weight.shape
            module.weight.data = torch.empty(out, ins).normal_(0, (2 / (out + ins)) ** 0.5, generator=generator)
            module.bias.data = torch.zeros(out)
    velocity = [torch.zeros_like(weight) for weight in net.parameters()]
    for lr in (0.05, 0.01):
        order = torch.randperm(21, generator=generator)
        for rows in (order[:8], order[8:16], order[16:]):
            loss = F.cross_entropy(net(x[rows], generator), member[rows])
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            for i, (weight, gradient) in enumerate(zip(net.parameters(), gradients, strict=True)):
                velocity[i] = 0.9 * velocity[i] + gradient + 0.01 * weight.data
                weight.data -= lr * velocity[i]
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(found.state_dict()[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(torch.rand(10, 6, generator=torch.Generator()), torch.arange(10) % 2, STEPS, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
