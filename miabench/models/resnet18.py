"""ResNet18 (He, Zhang, Ren and Sun, CVPR 2016, arXiv:1512.03385), 32x32 form.

    conv3x3-BN-ReLU 64, no maxpool; 4 stages of 2 basic blocks (widths 64, 128, 256, 512; strides 1, 2, 2, 2; shortcuts
    that change shape are 1x1 convolution-BN, option B); global average pool -> feature (512), Linear to the classes

11,173,962 parameters for RGB images and 10 classes. PyTorch's default initialisation, as in the code of Fang and Kim
(UAI 2024); torchvision's starts the last 3x3 convolutions 2.4 times wider.
"""

from __future__ import annotations

from torch import nn

from miabench import Classifier, Domain, Model
from miabench.models._basic_block import BasicBlock
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._images import unless_32x32

BLOCKS = (  # in_channels, out_channels, stride
    (64, 64, 1), (64, 64, 1),
    (64, 128, 2), (128, 128, 1),
    (128, 256, 2), (256, 256, 1),
    (256, 512, 2), (512, 512, 1),
)  # fmt: skip


class ResNet18(Model, frozen=True):
    """Residual network of 18 layers."""

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images of 32 x 32."""
        return unless_32x32(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 512."""
        encoder = nn.Sequential(
            conv_bn_relu(domain.shape[0], 64),
            *(BasicBlock(*shape, shortcut=_shortcut(*shape)) for shape in BLOCKS),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        return Classifier(encoder, nn.Linear(512, domain.num_classes), 512)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if (in_channels, stride) == (out_channels, 1):
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
