"""The residual block of two 3x3 convolutions (He et al., 2016, arXiv:1512.03385, Fig. 2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from miabench.models._conv_bn_relu import conv_bn_relu


class BasicBlock(nn.Module):
    """relu(conv-BN-ReLU-conv-BN(x) + shortcut(x)): (N, in, H, W) -> (N, out, H/stride, W/stride).

    torchvision's block computes the same, but adds in place.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv_bn_relu(in_channels, out_channels, stride=stride),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))
