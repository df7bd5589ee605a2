"""Train-time augmentation of batches on the device, drawn for every record on its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = 4  # pixels on every side, of value 0 after normalisation: the mean colour (reference code)


def crop_flip(x: Tensor, generator: torch.Generator, padding: int = PADDING) -> Tensor:
    """Random crop after padding, then a horizontal flip with probability 1/2.

    Args:
        x: normalised images (N, channels, H, W).
        generator: on x's device; three draws per record.
        padding: pixels on every side.
    """
    n, _, height, width = x.shape
    offsets = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator, device=x.device)
    flip = torch.randint(0, 2, (n, 1), generator=generator, device=x.device).bool()
    rows = offsets[0] + torch.arange(height, device=x.device)  # (N, H)
    columns = torch.arange(width, device=x.device).expand(n, width)
    columns = offsets[1] + torch.where(flip, width - 1 - columns, columns)  # (N, W)
    padded = F.pad(x, (padding, padding, padding, padding))
    record = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[record, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
