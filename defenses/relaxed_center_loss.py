"""Relaxed center loss: CRL without normalisation (Fang and Kim, UAI 2024; the ablation of Table 2).

L = L_rce + lambda_rcl * L_rcl of `crl` with tau_rce = tau_rcl = 0: the relaxed policy and centers, no normalisation.
The defaults are ours; without normalisation features and centers are far larger than in crl, so alpha_rcl is too, and
lambda_rcl smaller: the floor of `crl`'s L_ct, in multiples of which alpha_rcl is where it is not given, is about a
quarter of the number of features here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from miabench.defenses._levels import (
    Level,
    center_loss_advice,
    center_loss_level,
    cross_entropy_advice,
    cross_entropy_level,
)
from miabench.defenses._relaxation import RelaxedCenterLoss as CenterPart
from miabench.defenses._relaxation import RelaxedCrossEntropy, RelaxedLosses, center_weight

from miabench import LATER, Criterion, Data, Defense, Field, Model, Range


class RelaxedCenterLoss(Defense, frozen=True):
    """Relaxed cross entropy, and features held near relaxed class centers."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {
        "alpha_rce": Range(0.05, 3, log=True),
        "floors": Range(1.2, 8, log=True, unless="alpha_rcl"),
        "lambda_rcl": Range(0.0005, 0.1, log=True),
    }

    alpha_rce: float | None = Field(
        None, ge=0, description="α_rce: level of the mean cross entropy, in nats; none: 1, at most half of ln C"
    )
    alpha_rcl: float | None = Field(
        None, ge=0, description="α_rcl: level of the center loss, a squared distance / 2; none: by `floors`"
    )
    floors: Annotated[float, LATER] = Field(
        5.0, gt=0, description="α_rcl in multiples of the floor of L_ct, where it is not given"
    )
    lambda_rcl: float = Field(0.01, ge=0, description="λ: weight of the relaxed center loss")
    upper_rce: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the soft targets; 1: off")
    upper_rcl: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the center loss; 1: off")
    center_lr: float = Field(0.001, gt=0, description="τ_c: constant learning rate of the centers")
    center_gradient: Annotated[Literal["total", "rcl"], LATER] = Field(
        "total", description="whose gradient moves the centers: the total loss', or L_rcl's alone"
    )

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The two relaxed losses; `criterion.centers` is a Parameter (C, D)."""
        level = center_loss_level(self.alpha_rcl, self.floors, feature_dim, 0.0)
        shape, weight = (num_classes, feature_dim), center_weight(self.center_gradient, self.lambda_rcl)
        return RelaxedLosses(
            RelaxedCrossEntropy(cross_entropy_level(self.alpha_rce, num_classes), 0.0, self.upper_rce),
            CenterPart(level, 0.0, self.upper_rcl, shape, weight),
            self.lambda_rcl,
            self.center_lr,
        )

    def advice(self, data: Data, model: Model) -> Sequence[str]:
        """Warns where the center part never relaxes, or nothing can be learnt."""
        ce = cross_entropy_advice(Level("relaxed-center-loss", "alpha_rce", self.alpha_rce), data.num_classes)
        if self.lambda_rcl == 0:
            return ce
        return ce + center_loss_advice(
            Level("relaxed-center-loss", "alpha_rcl", self.alpha_rcl), self.floors, data, model
        )
