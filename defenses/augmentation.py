"""Data augmentation as a defense: four mechanisms of Kaya and Dumitras (ICML 2021).

Cross entropy on records that are changed anew in every mini-batch, each by draws of its own:
    crop-flip   shifted by up to `strength` of the side in each direction (edges filled with 0), mirrored half the time
    cutout      a square of `strength` of the side around a random pixel is 0 (DeVries and Taylor, 2017,
                arXiv:1708.04552); less of it where it reaches beyond the edge
    noise       x + strength * N(0, I), in units of normalised inputs
    mixup       m x + (1 - m) x' with x' another record of the mini-batch, m ~ Beta(strength, strength), and
                L = mean [ m CE(z, y) + (1 - m) CE(z, y') ]   (Zhang et al., ICLR 2018, arXiv:1710.09412)
The side is the shorter one of the image; 0 is the mean colour where the data set is normalised. What a data set itself
asks for (crop-flip of `cifar100`) comes first, and stays.
Differs from the papers: mixup's authors' code draws one m for a mini-batch. The default strength is the usual one of
crop-flip, 4 pixels of 32; cutout's authors take 0.5 on CIFAR-10, mixup's 1.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from miabench import Data, Defense, Field, Model, Range, crop_flip


class Augmentation(Defense, frozen=True):
    """Trains on records that are never the same twice."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"strength": Range(0.03, 1, log=True)}

    mechanism: Literal["crop-flip", "cutout", "noise", "mixup"] = Field("crop-flip", description="what is changed")
    strength: float = Field(
        0.125, gt=0, le=1, description="crop-flip, cutout: share of the side; noise: σ; mixup: α of Beta(α, α)"
    )

    def unsupported(self, data: Data, model: Model) -> str | None:
        """Token ids; for crop-flip and cutout, records that are no images."""
        needed = "images" if self.mechanism in ("crop-flip", "cutout") else "numbers"
        if data.domain.vocabulary is None and (needed == "numbers" or data.x.ndim == 4):
            return None
        kind = "numbers" if data.domain.vocabulary is None else "token ids"
        return (
            f"{self.mechanism} takes {needed}, but these records are {kind} ({' x '.join(map(str, data.x.shape[1:]))})"
        )

    def augment(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor | tuple[Tensor, Tensor]:
        """The changed records (B, ...); with mixup also (B, 3): both classes, and the share of the first."""
        match self.mechanism:
            case "crop-flip":
                return crop_flip(x, generator, padding=self._pixels(x))
            case "cutout":
                return cutout(x, self._pixels(x), generator)
            case "noise":
                return x + self.strength * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            case "mixup":
                return mixup(x, y, self.strength, generator)

    def _pixels(self, images: Tensor) -> int:
        return round(self.strength * min(images.shape[2:]))

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """Mean cross entropy; of both classes where records are mixed."""
        if targets.ndim == 1:
            return F.cross_entropy(logits, targets)
        y, other, share = targets.unbind(1)
        own, others = (F.cross_entropy(logits, labels.long(), reduction="none") for labels in (y, other))
        return (share * own + (1 - share) * others).mean()


def cutout(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Images (B, channels, H, W) with a square of `side` pixels set to 0 in each, its centre on a random pixel."""
    keep = []
    for size in x.shape[2:]:
        centre = torch.randint(0, size, (len(x), 1), generator=generator, device=x.device)
        place = torch.arange(size, device=x.device)
        keep.append((place < centre - side // 2) | (place >= centre - side // 2 + side))
    return x * (keep[0][:, None, :, None] | keep[1][:, None, None, :])


def mixup(x: Tensor, y: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixed records (B, ...), and per record both classes and the share of its own (B, 3), of x's dtype."""
    share = symmetric_beta(alpha, len(x), generator).to(x)
    other = torch.randperm(len(x), generator=generator, device=x.device)
    m = share.view(-1, *[1] * (x.ndim - 1))
    return m * x + (1 - m) * x[other], torch.stack([y.to(x), y[other].to(x), share], 1)


def symmetric_beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Draws (count,) of Beta(alpha, alpha), float64: (1 + t / sqrt(2 alpha + t^2)) / 2 of Student's t by 2 alpha.

    t is drawn as Bailey (1994) does, by a polar method without rejections; torch's own Beta takes no generator.
    """
    u, v = torch.rand((2, count), generator=generator, device=generator.device, dtype=torch.float64)
    cosine = (2 * math.pi * v).cos()
    w = torch.expm1(-u.log() / alpha) * cosine.square()  # t^2 / (2 alpha)
    drawn: Tensor = (1 + cosine.sign() * (w / (1 + w)).nan_to_num(nan=1.0).sqrt()) / 2
    return drawn
