"""Wide ResNet 28-2 (Zagoruyko and Komodakis, BMVC 2016, arXiv:1605.07146): depth 28, widening factor 2, no dropout.

    conv3x3 16; 3 stages of 4 blocks BN-ReLU-conv3x3-BN-ReLU-conv3x3 (widths 32, 64, 128; strides 1, 2, 2; where the
    width changes, the shortcut is a 1x1 convolution of the first ReLU's output); BN-ReLU, global average pool
    -> feature (128), Linear to the classes

1,467,610 parameters for RGB images and 10 classes. As in the authors' Lua code, convolutions start from
N(0, 2/(k*k*out)) and the last layer's bias from 0.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Classifier, Domain, Model
from miabench.models._fan_out_normal import fan_out_normal
from miabench.models._images import unless_32x32

BLOCKS_PER_STAGE = (28 - 4) // 6


class WideResNet28x2(Model, frozen=True):
    """Wide residual network of 28 layers."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 128."""
        encoder = nn.Sequential(
            nn.Conv2d(domain.shape[0], 16, 3, padding=1, bias=False),
            *_stage(16, 32, stride=1),
            *_stage(32, 64, stride=2),
            *_stage(64, 128, stride=2),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        fan_out_normal(encoder)
        head = nn.Linear(128, domain.num_classes)
        nn.init.zeros_(head.bias)
        return Classifier(encoder, head, 128)


def _stage(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    return [
        _WideningBlock(in_channels, out_channels, stride),
        *(_Block(out_channels) for _ in range(BLOCKS_PER_STAGE - 1)),
    ]


def _residual(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """What follows a block's first BN-ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
    )


class _Block(nn.Module):
    """x + residual(relu(BN(x))), shape kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.residual = _residual(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.residual(F.relu(self.norm(x)))
        return out


class _WideningBlock(nn.Module):
    """a = relu(BN(x)); shortcut(a) + residual(a): (N, in, H, W) -> (N, out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.residual = _residual(in_channels, out_channels, stride)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm(x))
        out: Tensor = self.shortcut(active) + self.residual(active)
        return out
