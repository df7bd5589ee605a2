"""Relaxed center loss: CRL without normalisation (Fang and Kim, UAI 2024; the ablation of Table 2).

L = L_rce + lambda_rcl * L_rcl of `crl` with tau_rce = tau_rcl = 0: the relaxed policy and centers, no normalisation.
The defaults are ours; without normalisation features and centers are far larger than in crl, so alpha_rcl is too.
"""

from __future__ import annotations

from typing import ClassVar

from miabench.defenses._relaxation import RelaxedCenterLoss as CenterPart
from miabench.defenses._relaxation import RelaxedCrossEntropy, RelaxedLosses

from miabench import Criterion, Defense, Field, Range


class RelaxedCenterLoss(Defense, frozen=True):
    """Relaxed cross entropy, and features held near relaxed class centers."""

    tune: ClassVar = {
        "alpha_rce": Range(0.05, 3, log=True),
        "alpha_rcl": Range(0.01, 100, log=True),
        "lambda_rcl": Range(0.0001, 0.1, log=True),
    }

    alpha_rce: float = Field(1.0, ge=0, description="α_rce: level of the mean cross entropy, in nats")
    alpha_rcl: float = Field(1.0, ge=0, description="α_rcl: level of the center loss, a squared distance / 2")
    lambda_rcl: float = Field(0.01, ge=0, description="λ: weight of the relaxed center loss")
    upper_rce: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the soft targets; 1: off")
    upper_rcl: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the center loss; 1: off")
    center_lr: float = Field(0.001, gt=0, description="τ_c: constant learning rate of the centers")

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The two relaxed losses; `criterion.centers` is a Parameter (C, D)."""
        return RelaxedLosses(
            RelaxedCrossEntropy(self.alpha_rce, 0.0, self.upper_rce),
            CenterPart(self.alpha_rcl, 0.0, self.upper_rcl, (num_classes, feature_dim)),
            self.lambda_rcl,
            self.center_lr,
        )
