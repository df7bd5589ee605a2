"""Label smoothing (Szegedy et al., CVPR 2016; as a defense: Müller, Kornblith and Hinton, NeurIPS 2019).

L = (1 - epsilon) * CE(z, y) + epsilon * mean_i CE(z, i): the target is 1 - epsilon + epsilon/C at the class and
epsilon/C elsewhere. The CRL paper does not give its epsilon; 0.1 is the value of the original paper.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from miabench import Defense, Field, Range


class LabelSmoothing(Defense, frozen=True):
    """Cross entropy with targets that are spread a little over all classes."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"epsilon": Range(0.01, 0.99, log=True)}

    epsilon: float = Field(0.1, ge=0, le=1, description="ε: share of the target spread evenly over all C classes")

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """Smoothed cross entropy."""
        return F.cross_entropy(logits, targets, label_smoothing=self.epsilon)
