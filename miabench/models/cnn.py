"""A small convolutional network (ours), quick on a CPU: for images of any size from 8 x 8.

    [conv3x3-BN-ReLU, 16; maxpool 2] [.., 32; maxpool 2] [.., 64; maxpool 2] [.., 128] global average pool, Linear

98,970 parameters for RGB images and 10 classes. Feature (128): the global average pool. PyTorch's default
initialisation. `width` multiplies all four numbers of channels, and so the feature's.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import nn

from miabench import LATER, Classifier, Domain, Field, Model
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._images import unless_image
from miabench.models._width import scaled


class CNN(Model, frozen=True):
    """Four convolutions with batch normalisation, three poolings."""

    channels_last: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    version: ClassVar[int] = 2  # 2: channels_last

    width: Annotated[float, LATER] = Field(1.0, gt=0, description="factor of every layer's channels")

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images, or are smaller than the three poolings allow."""
        return unless_image(domain, smallest=8)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 128 times the width."""
        a, b, c, d = scaled((16, 32, 64, 128), self.width)
        encoder = nn.Sequential(
            conv_bn_relu(domain.shape[0], a),
            nn.MaxPool2d(2),
            conv_bn_relu(a, b),
            nn.MaxPool2d(2),
            conv_bn_relu(b, c),
            nn.MaxPool2d(2),
            conv_bn_relu(c, d),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        return Classifier(encoder, nn.Linear(d, domain.num_classes), d)
