"""Confidence penalty (Pereyra et al., 2017, arXiv:1701.06548).

L = CE(z, y) - beta * H(softmax(z)), with H the entropy over classes in nats, averaged over the mini-batch.
Differs from the paper: beta is constant. The CRL paper does not give its value (the reference code calls it alpha);
0.1 is the RelaxLoss repository's.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from miabench import Defense, Field, Range


class ConfidencePenalty(Defense, frozen=True):
    """Rewards uncertain predictions."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"beta": Range(0.01, 10, log=True)}

    beta: float = Field(0.1, ge=0, description="β: weight of the output entropy H(p)")

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """Cross entropy minus the weighted entropy."""
        log_p = logits.log_softmax(1)
        negative_entropy = (log_p.exp() * log_p).sum(1).mean()
        return F.nll_loss(log_p, targets) + self.beta * negative_entropy
