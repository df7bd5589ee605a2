"""Initial weights of convolutions by their fan-out (He et al., 2015, arXiv:1502.01852, Eq. 14)."""

from __future__ import annotations

from torch import nn


def fan_out_normal(net: nn.Module) -> None:
    """Draw every Conv2d's weights anew from N(0, 2/(k*k*out)), variance given, and set their biases to 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
