"""Cross entropy without a defense: the baseline that every defense is compared with.

L = -mean_B log softmax(z)_y
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from miabench import Criterion, Defense


class CrossEntropy(Defense, frozen=True):
    """No defense."""

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """Mean cross entropy."""
        return _CrossEntropy()


class _CrossEntropy(Criterion):
    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        return F.cross_entropy(logits, targets)
