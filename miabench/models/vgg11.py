"""VGG11 with batch normalisation (Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556, configuration A), 32x32 form.

    conv3x3-BN-ReLU for 64,M,128,M,256,256,M,512,512,M,512,512,M (M: maxpool 2; convolutions with bias), flatten,
    2 x [Dropout 0.5, Linear 512-512, ReLU] -> feature (512), Linear to the classes

9,756,426 parameters for RGB images and 10 classes. Convolutions start from N(0, 2/(k*k*out)) with bias 0, the rest as
PyTorch does. The feature is taken after the last ReLU (so it is not negative), as in the code of Fang and Kim
(UAI 2024).
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from miabench import Classifier, Domain, Model
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._fan_out_normal import fan_out_normal
from miabench.models._images import unless_32x32

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # widths; a maxpool ends each stage


class VGG11(Model, frozen=True):
    """Eight convolutions and three fully connected layers."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 512."""
        convolutions = _convolutions(domain.shape[0])
        fan_out_normal(convolutions)
        hidden = [layer for _ in range(2) for layer in (nn.Dropout(0.5), nn.Linear(512, 512), nn.ReLU())]
        return Classifier(nn.Sequential(convolutions, nn.Flatten(), *hidden), nn.Linear(512, domain.num_classes), 512)


def _convolutions(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for widths in STAGES:
        for width in widths:
            layers.append(conv_bn_relu(channels, width, bias=True))
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
