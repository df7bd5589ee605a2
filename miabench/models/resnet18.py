"""ResNet18 (He, Zhang, Ren and Sun, CVPR 2016, arXiv:1512.03385), 32x32 form.

    conv3x3-BN-ReLU 64, no maxpool; 4 stages of 2 basic blocks (widths 64, 128, 256, 512; strides 1, 2, 2, 2; shortcuts
    that change shape are 1x1 convolution-BN, option B); global average pool -> feature (512), Linear to the classes

11,173,962 parameters for RGB images and 10 classes. PyTorch's default initialisation, as in the code of Fang and Kim
(UAI 2024); torchvision's starts the last 3x3 convolutions 2.4 times wider. `width` multiplies the four widths, and so
the feature's dimension.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

from torch import nn

from miabench import LATER, Classifier, Domain, Field, Model
from miabench.models._basic_block import BasicBlock
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._images import unless_32x32
from miabench.models._width import scaled

WIDTHS = (64, 128, 256, 512)


class ResNet18(Model, frozen=True):
    """Residual network of 18 layers."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    width: Annotated[float, LATER] = Field(1.0, gt=0, description="factor of every layer's channels")

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 512 times the width."""
        widths = scaled(WIDTHS, self.width)
        encoder = nn.Sequential(
            conv_bn_relu(domain.shape[0], widths[0]),
            *_stage(widths[0], widths[0], stride=1),
            *(block for pair in pairwise(widths) for block in _stage(*pair, stride=2)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        return Classifier(encoder, nn.Linear(widths[-1], domain.num_classes), widths[-1])


def _stage(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    shapes = ((in_channels, out_channels, stride), (out_channels, out_channels, 1))
    return [BasicBlock(*shape, shortcut=_shortcut(*shape)) for shape in shapes]


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if (in_channels, stride) == (out_channels, 1):
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
