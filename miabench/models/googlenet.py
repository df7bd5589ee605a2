"""GoogLeNet with batch normalisation (Szegedy et al., CVPR 2015, arXiv:1409.4842), 32x32 form.

    conv3x3-BN-ReLU 64, 64, 192; maxpool 3/2; inception 3a, 3b; maxpool 3/2; 4a to 4e; maxpool 3/2; 5a, 5b;
    global average pool -> feature (1024), Dropout 0.4, Linear to the classes

An inception module concatenates 1x1; 1x1, 3x3; 1x1, 3x3, 3x3 (in place of the paper's 5x5); and maxpool 3/1, 1x1; each
convolution with bias, BN and ReLU. 6,310,314 parameters for RGB images and 10 classes. PyTorch's default
initialisation.
Differs from the code of Fang and Kim (UAI 2024): the epsilon of every BN is 1e-5; theirs passes a width as the epsilon
of the middle BN of the third branch by accident.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from miabench import Classifier, Domain, Model
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._images import unless_32x32


class _Widths(NamedTuple):
    """Output channels of an inception module's convolutions, named as in the paper's Table 1."""

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    conv5x5_reduce: int
    conv5x5: int
    pool_proj: int

    @property
    def out(self) -> int:
        return self.conv1x1 + self.conv3x3 + self.conv5x5 + self.pool_proj


STAGES = (  # inception 3a-3b, 4a-4e, 5a-5b; a maxpool comes before each stage
    (_Widths(64, 96, 128, 16, 32, 32), _Widths(128, 128, 192, 32, 96, 64)),
    (
        _Widths(192, 96, 208, 16, 48, 64),
        _Widths(160, 112, 224, 24, 64, 64),
        _Widths(128, 128, 256, 24, 64, 64),
        _Widths(112, 144, 288, 32, 64, 64),
        _Widths(256, 160, 320, 32, 128, 128),
    ),
    (_Widths(256, 160, 320, 32, 128, 128), _Widths(384, 192, 384, 48, 128, 128)),
)


class GoogLeNet(Model, frozen=True):
    """Nine inception modules."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 1024."""
        layers = [conv_bn_relu(domain.shape[0], 64), conv_bn_relu(64, 64), conv_bn_relu(64, 192)]
        channels = 192
        for stage in STAGES:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
            for widths in stage:
                layers.append(_Inception(channels, widths))
                channels = widths.out
        encoder = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        head = nn.Sequential(nn.Dropout(0.4), nn.Linear(channels, domain.num_classes))
        return Classifier(encoder, head, channels)


class _Inception(nn.Module):
    """(N, in, H, W) -> (N, widths.out, H, W)."""

    def __init__(self, in_channels: int, widths: _Widths) -> None:
        super().__init__()
        self.branch1 = conv_bn_relu(in_channels, widths.conv1x1, 1, bias=True)
        self.branch2 = nn.Sequential(
            conv_bn_relu(in_channels, widths.conv3x3_reduce, 1, bias=True),
            conv_bn_relu(widths.conv3x3_reduce, widths.conv3x3, bias=True),
        )
        self.branch3 = nn.Sequential(
            conv_bn_relu(in_channels, widths.conv5x5_reduce, 1, bias=True),
            conv_bn_relu(widths.conv5x5_reduce, widths.conv5x5, bias=True),
            conv_bn_relu(widths.conv5x5, widths.conv5x5, bias=True),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), conv_bn_relu(in_channels, widths.pool_proj, 1, bias=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), 1)
