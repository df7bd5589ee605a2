"""What the tests of models share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn


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
