"""A small convolutional network (ours), quick on a CPU: for images of any size from 8 x 8.

    [conv3x3-BN-ReLU, 16; maxpool 2] [.., 32; maxpool 2] [.., 64; maxpool 2] [.., 128] global average pool, Linear

98,970 parameters for RGB images and 10 classes. Feature (128): the global average pool. PyTorch's default
initialisation.
"""

from __future__ import annotations

from torch import nn

from miabench import Classifier, Domain, Model
from miabench.models._conv_bn_relu import conv_bn_relu
from miabench.models._images import unless_image


class CNN(Model, frozen=True):
    """Four convolutions with batch normalisation, three poolings."""

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not images, or are smaller than the three poolings allow."""
        return unless_image(domain, smallest=8)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 128."""
        encoder = nn.Sequential(
            conv_bn_relu(domain.shape[0], 16),
            nn.MaxPool2d(2),
            conv_bn_relu(16, 32),
            nn.MaxPool2d(2),
            conv_bn_relu(32, 64),
            nn.MaxPool2d(2),
            conv_bn_relu(64, 128),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        return Classifier(encoder, nn.Linear(128, domain.num_classes), 128)
