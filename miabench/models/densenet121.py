"""DenseNet-BC of depth 121 and growth 12 for 32x32 images (Huang et al., CVPR 2017, arXiv:1608.06993, section 3).

    conv3x3 24; 3 dense blocks of 19 layers BN-ReLU-conv1x1 48-BN-ReLU-conv3x3 12, each of which appends 12 channels;
    between blocks BN-ReLU-conv1x1 to half the channels, average pool 2; BN-ReLU, global average pool
    -> feature (405), Linear to the classes

1,020,550 parameters for RGB images and 10 classes. This is what the code of Fang and Kim (UAI 2024) calls DenseNet121,
not the ImageNet network of that name (four blocks, growth 32). Convolutions start from N(0, 2/(k*k*out)), the last
layer's bias from 0. No dropout.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from miabench import Classifier, Domain, Model
from miabench.models._fan_out_normal import fan_out_normal
from miabench.models._images import unless_32x32

GROWTH = 12
BLOCKS = 3
LAYERS_PER_BLOCK = (121 - 4) // 6
BOTTLENECK = 4 * GROWTH


class DenseNet121(Model, frozen=True):
    """Densely connected network of 121 layers, narrow."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 405."""
        encoder, feature_dim = _encoder(domain.shape[0])
        fan_out_normal(encoder)
        head = nn.Linear(feature_dim, domain.num_classes)
        nn.init.zeros_(head.bias)
        return Classifier(encoder, head, feature_dim)


def _encoder(in_channels: int) -> tuple[nn.Sequential, int]:
    """The encoder and its number of features."""
    width = 2 * GROWTH
    layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 3, padding=1, bias=False)]
    for block in range(BLOCKS):
        if block:
            layers += [*_bn_relu_conv(width, width // 2, 1), nn.AvgPool2d(2)]
            width //= 2
        for _ in range(LAYERS_PER_BLOCK):
            layers.append(_DenseLayer(width))
            width += GROWTH
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), width


def _bn_relu_conv(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
    ]


class _DenseLayer(nn.Module):
    """(N, in, H, W) -> (N, in + GROWTH, H, W): the input, and what the layer makes of it behind."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.grow = nn.Sequential(*_bn_relu_conv(in_channels, BOTTLENECK, 1), *_bn_relu_conv(BOTTLENECK, GROWTH, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.grow(x)), 1)
