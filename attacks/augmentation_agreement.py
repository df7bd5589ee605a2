"""Label-only attack by data augmentation (Choquette-Choo et al., ICML 2021, arXiv:2007.14321).

score = w . [label right for: the image, its 4 d shifts by |i| + |j| = d pixels, its rotations by -r and r degrees]

w is learnt on shadow models (`_agreement`). Shifts repeat the edge, rotations are cubic splines with 0 outside. Images
are changed after normalisation, as the network sees them: outside is the mean colour. Queries: 4 d + 3 a record.
Differs from the paper: one logistic regression over both kinds of change in place of a small network for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from miabench.attacks._agreement import AgreementAttack
from torch import Tensor

from miabench import Data, Field, Model, Probe, RecordNoise


class AugmentedLabels(Probe, frozen=True):
    """Whether the label is right for the image and each changed copy of it."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.augmentation_agreement", "AugmentedLabels")

    shift: int = Field(1, ge=1, description="d: |rows| + |columns| of a shift, in pixels")
    rotation: float = Field(4.0, gt=0, lt=180, description="r: degrees, in both directions")

    sees: ClassVar[Literal["label", "served", "network"]] = "label"

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Bits (n, 4 d + 3), bool: the image, its shifts, its rotations."""
        copies = [x, *(shifted(x, i, j) for i, j in shifts(self.shift))]
        copies += [rotated(x, angle) for angle in (-self.rotation, self.rotation)]
        return torch.stack([ask(copy) == y for copy in copies], 1)


class AugmentationAgreement(AgreementAttack, frozen=True):
    """Members are classified correctly when they are shifted or rotated."""

    shift: int = Field(1, ge=1, description="d: |rows| + |columns| of a shift, in pixels")
    rotation: float = Field(4.0, gt=0, lt=180, description="r: degrees, in both directions")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Only images can be shifted and rotated."""
        if data.x.ndim != 4:
            return "its records are not images (channels x height x width), which alone can be shifted and rotated"
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The bits alone."""
        return (AugmentedLabels(shift=self.shift, rotation=self.rotation),)


def shifts(d: int) -> list[tuple[int, int]]:
    """The 4 d shifts (rows, columns) with |rows| + |columns| = d."""
    return [(i, j) for i in range(-d, d + 1) for j in sorted({abs(i) - d, d - abs(i)})]


def shifted(x: Tensor, rows: int, columns: int) -> Tensor:
    """Images (n, channels, H, W) moved down and right, edges repeated."""
    height, width = x.shape[2:]
    row = (torch.arange(height, device=x.device) - rows).clamp(0, height - 1)
    column = (torch.arange(width, device=x.device) - columns).clamp(0, width - 1)
    return x[:, :, row][..., column]


def rotated(x: Tensor, angle: float) -> Tensor:
    """Images (n, channels, H, W) rotated by degrees about their middle, 0 outside."""
    from scipy.ndimage import rotate

    turned = rotate(x.cpu().numpy(), angle, axes=(2, 3), reshape=False, order=3, mode="constant", cval=0.0)
    return torch.from_numpy(np.ascontiguousarray(turned)).to(x)
