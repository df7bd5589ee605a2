"""Convex-concave loss, CCL (Liu, Feng, Zhuang, Cao and Wei, ICML 2024, arXiv:2402.05453).

L = mean_B [ alpha * (-log p_y) + (1 - alpha) * f(p_y) ], with p = softmax(z) and f falling and concave in p_y:
    concave = "exponential" (default)   f(p) = -exp(p)
    concave = "quadratic"               f(p) = -(p + p^2 / 2)
A convex loss draws the members' losses together; the concave term leaves them spread out, as those of other records
are. alpha = 1 is cross entropy.
The authors' code multiplies L by a constant (0.05 in its README): that is a learning rate times 0.05 and a weight decay
divided by it, `schedule = {lr = 0.005, weight_decay = 0.01}` in place of {lr = 0.1, weight_decay = 0.0005}. There is no
parameter for it. alpha 0.5 is its README's; the paper chooses alpha for each data set.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from miabench import Defense, Field, Range


class CCL(Defense, frozen=True):
    """Cross entropy and a concave term that keeps the members' losses apart."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"alpha": Range(0.05, 1)}

    alpha: float = Field(0.5, ge=0, le=1, description="α: share of the cross entropy; the rest is the concave term's")
    concave: Literal["exponential", "quadratic"] = Field("exponential", description="form of the concave term")

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """The mean of both terms."""
        ce = F.cross_entropy(logits, targets, reduction="none")
        p = (-ce).exp()
        concave = -p.exp() if self.concave == "exponential" else -(p + p.square() / 2)
        return (self.alpha * ce + (1 - self.alpha) * concave).mean()
