"""ResNet20 for 32x32 images (He, Zhang, Ren and Sun, CVPR 2016, arXiv:1512.03385, section 4.2, n = 3).

    conv3x3-BN-ReLU 16; 3 stages of 3 basic blocks (widths 16, 32, 64; strides 1, 2, 2; shortcuts without parameters,
    option A: every second pixel, missing channels 0); global average pool -> feature (64), Linear to the classes

269,722 parameters for RGB images and 10 classes. Convolutions start from N(0, 2/(k*k*out)), the last layer's bias
from 0. Where the paper is silent: the zero channels of a shortcut come after the others.
`width` multiplies the three widths, and so the feature's dimension.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from miabench import LATER, Classifier, Domain, Field, Model
from miabench.models._basic_block import BasicBlock
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._fan_out_normal import fan_out_normal
from miabench.models._images import unless_32x32
from miabench.models._width import scaled


class ResNet20(Model, frozen=True):
    """Residual network of 20 layers, small."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    width: Annotated[float, LATER] = Field(1.0, gt=0, description="factor of every layer's channels")

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 64 times the width."""
        a, b, c = scaled((16, 32, 64), self.width)
        encoder = nn.Sequential(
            conv_bn_relu(domain.shape[0], a),
            *_stage(a, a, stride=1),
            *_stage(a, b, stride=2),
            *_stage(b, c, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        fan_out_normal(encoder)
        head = nn.Linear(c, domain.num_classes)
        nn.init.zeros_(head.bias)
        return Classifier(encoder, head, c)


def _stage(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    shortcut = nn.Identity() if stride == 1 else _Subsample(out_channels - in_channels)
    return [
        BasicBlock(in_channels, out_channels, stride, shortcut),
        *(BasicBlock(out_channels, out_channels, 1, nn.Identity()) for _ in range(2)),
    ]


class _Subsample(nn.Module):
    """Option A: (N, in, H, W) -> (N, in + missing, H/2, W/2), with zeros in the missing channels."""

    def __init__(self, missing: int) -> None:
        super().__init__()
        self.missing = missing

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.missing))
