"""The step that the image models share: convolution, batch normalisation, ReLU."""

from __future__ import annotations

from torch import nn
from torchvision.ops.misc import Conv2dNormActivation


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int = 3, *, stride: int = 1, bias: bool = False
) -> nn.Module:
    """Convolution with "same" padding, BatchNorm2d, ReLU that is not in place: (N, in, H, W) -> (N, out, ...)."""
    step: nn.Module = Conv2dNormActivation(in_channels, out_channels, kernel_size, stride, bias=bias, inplace=False)
    return step
