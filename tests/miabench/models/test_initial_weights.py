"""Every layer starts from the distribution that its model's docstring names."""

import math

import pytest
import torch
from torch import nn

from miabench.plugins.discover import discover

MODELS = [found.name for found in discover().all("model") if found.source == "built-in"]
FAN_OUT_NORMAL = {"vgg11", "densenet121", "resnet20", "wrn28-2"}  # of convolutions; the others: PyTorch's default
ZERO_LAST_BIAS = {"densenet121", "resnet20", "wrn28-2"}
SEVERAL_SIGMA = 6


def standardised(net, kind, fan_out):
    """Weights of all layers of one kind, each divided by the std of its formula, after a look at each."""
    scaled = []
    for module in net.modules():
        if isinstance(module, kind):
            w = module.weight.detach().double()
            fan_in = w[0].numel()
            std = math.sqrt(2 / w[:, 0].numel()) if fan_out else 1 / math.sqrt(3 * fan_in)
            scaled.append(w.flatten() / std)
            assert scaled[-1].square().mean().sqrt() == pytest.approx(1, abs=SEVERAL_SIGMA / math.sqrt(2 * w.numel()))
    return torch.cat(scaled) if scaled else None


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.Linear])
def test_std_and_form_of_weights(name, kind, build):
    normal = kind is nn.Conv2d and name in FAN_OUT_NORMAL
    scaled = standardised(build(name, num_classes=100), kind, fan_out=normal)
    if scaled is None:
        assert name in ("mlp", "han")
        assert kind is nn.Conv2d
        return
    kurtosis, spread = (3, math.sqrt(96)) if normal else (1.8, math.sqrt(5.76))  # spread: sd of one z^4
    assert scaled.mean() == pytest.approx(0, abs=SEVERAL_SIGMA / math.sqrt(len(scaled)))
    assert scaled.square().mean() == pytest.approx(1, abs=SEVERAL_SIGMA * math.sqrt(2 / len(scaled)))
    assert scaled.pow(4).mean() == pytest.approx(kurtosis, abs=SEVERAL_SIGMA * spread / math.sqrt(len(scaled)))


@pytest.mark.parametrize("name", MODELS)
def test_biases(name, build):
    net = build(name, num_classes=100)
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            bias = module.bias.detach()
            if (isinstance(module, nn.Conv2d) and name in FAN_OUT_NORMAL) or (
                module is linear[-1] and name in ZERO_LAST_BIAS
            ):
                assert bias.count_nonzero() == 0
            else:
                bound = 1 / math.sqrt(module.weight[0].numel())  # PyTorch's: uniform within it
                assert 0.5 * bound < bias.abs().max() <= bound


@pytest.mark.parametrize("name", MODELS)
def test_batch_normalisation_starts_at_one_and_zero(name, build):
    for module in build(name, num_classes=100).modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
            assert module.eps == 1e-5
            assert module.momentum == 0.1
