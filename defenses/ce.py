"""Cross entropy without a defense: the baseline that every defense is compared with.

L = -mean_B log softmax(z)_y
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from miabench import Defense


class CrossEntropy(Defense, frozen=True):
    """No defense."""

    baseline: ClassVar[bool] = True
    capturable: ClassVar[bool] = True

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """Mean cross entropy."""
        return F.cross_entropy(logits, targets)
