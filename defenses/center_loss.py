"""Center loss (Wen et al., ECCV 2016), the auxiliary loss that CRL starts from (Fang and Kim, UAI 2024, Eq. 4).

L = CE(z, y) + lambda_ct * mean ||q - c_y||^2 / 2, with features q and a center c per class.
The sign is that of Algorithm 1 (Eq. 4 has a minus). Centers start from N(0, 1) and have an SGD of their own.
centers = "gradient" (default) moves them along the gradient of L, as CRL does. centers = "wen" moves them along Wen et
al.'s averaged difference, sum(c_y - q) / (1 + n_y) over the mini-batch divided by its size and not scaled by lambda_ct,
as the CRL authors' code computes it (which then never applies it: a bug that is not copied).
The CRL paper gives no lambda: the default is ours.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Criterion, Defense, Field, Range


class CenterLoss(Defense, frozen=True):
    """Cross entropy, and features drawn to their class's center."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {
        "lambda_ct": Range(0.0001, 1, log=True),
        "center_lr": Range(0.0001, 0.5, log=True),
    }

    lambda_ct: float = Field(0.1, ge=0, description="λ: weight of the center loss")
    centers: Literal["gradient", "wen"] = Field("gradient", description="what moves the centers")
    center_lr: float = Field(0.001, gt=0, description="constant learning rate of the centers")

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """Cross entropy plus center loss; `criterion.centers` is a Parameter (C, D)."""
        return _CenterLoss(self, num_classes, feature_dim)


class _CenterLoss(Criterion):
    def __init__(self, params: CenterLoss, num_classes: int, feature_dim: int) -> None:
        super().__init__()
        self.params = params
        self.lr = params.center_lr
        self.centers = nn.Parameter(torch.randn(num_classes, feature_dim))

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        ce = F.cross_entropy(logits, targets)
        c = self.centers[targets]  # (B, D)
        if self.params.centers == "gradient":
            return ce + self.params.lambda_ct * center_loss(features, c)
        pull = self._wen(features, c, targets)
        return ce + self.params.lambda_ct * center_loss(features, c.detach()) + pull - pull.detach()

    def _wen(self, features: Tensor, c: Tensor, targets: Tensor) -> Tensor:
        """A number whose gradient in the centers is Wen et al.'s difference; only its gradient is used."""
        count = F.one_hot(targets, len(self.centers)).sum(0)[targets]  # (B,)
        difference = (c - features).detach() / (1 + count[:, None]) / len(targets)
        return (c * difference).sum()


def center_loss(features: Tensor, centers: Tensor) -> Tensor:
    """Mean squared distance / 2 of features (B, D) to their own centers (B, D)."""
    return (features - centers).square().sum(1).mean() / 2
