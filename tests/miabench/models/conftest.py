"""What the tests of models share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from miabench import Domain
from miabench.plugins.discover import discover
from miabench.seeds import global_stream

VOCABULARY = 50  # of the token ids that `batch` draws


@pytest.fixture
def build():
    """A network for records as `batch` draws: documents for han, images for every other model."""

    def build(name, num_classes=10, seed=0, shape=None, **params):
        domain = Domain(shape or (3, 32, 32), num_classes)
        if name == "han":
            vectors = torch.randn(VOCABULARY, 50, generator=torch.Generator().manual_seed(2))
            domain = Domain((4, 6), num_classes, VOCABULARY, vectors)
        model = discover().get("model", name).build(params)
        assert model.unsupported(domain) is None
        with global_stream(seed, "weights"):
            return model.build(domain)

    return build


@pytest.fixture
def batch():
    """Two records of the kind that a model takes: token ids (2, 4, 6), or normal numbers (2, ...) of a shape."""

    def batch(name, shape=(3, 32, 32)):
        generator = torch.Generator().manual_seed(1)
        if name == "han":
            filled = torch.arange(24).view(4, 6) % 6 < torch.tensor([[[6], [1], [3], [0]], [[2], [4], [0], [0]]])
            return torch.randint(1, VOCABULARY, (2, 4, 6), generator=generator) * filled
        return torch.randn(2, *shape, generator=generator)

    return batch


@pytest.fixture
def by_weight_rule():
    """A network in float64 and eval mode whose weights follow the golden vectors' `weight_rule`."""

    def fill(net: nn.Module) -> nn.Module:
        net.double().eval()
        with torch.no_grad():
            for k, (name, p) in enumerate(net.named_parameters()):
                sine = torch.sin(0.7 * torch.arange(p.numel(), dtype=torch.float64) + k).view_as(p)
                if p.ndim > 1:
                    p.copy_(sine * math.sqrt(2 / (p.numel() / p.shape[0])))
                else:
                    p.copy_(0.1 * sine + (1 if name.endswith("weight") else 0))
            moments = [(name, b) for name, b in net.named_buffers() if "running" in name]
            for k, (name, b) in enumerate(moments):
                sine = torch.sin(0.7 * torch.arange(b.numel(), dtype=torch.float64) + k)
                b.copy_(0.05 * sine if name.endswith("mean") else 1 + 0.3 * sine)
        return net

    return fill


@pytest.fixture
def images():
    """The golden vectors' input: two RGB images of 32 x 32."""
    return torch.sin(0.37 * torch.arange(2 * 3 * 32 * 32, dtype=torch.float64)).view(2, 3, 32, 32)
