"""Center-based relaxed learning, CRL (Fang and Kim, UAI 2024, Algorithm 1 and Eq. 5 to 9).

With logits g, features q, a center c per class, u(v, tau) = v / (1 + tau * ||v||), and per mini-batch:
    L_lce = mean cross entropy of u(g, tau_rce)                                       (Eq. 5, 6)
    L_rce = |L_lce - alpha_rce|   in even epochs
            L_lce                 in odd epochs where L_lce > alpha_rce
            L_sce                 otherwise: targets p_y at the class, (1 - p_y)/(C - 1) elsewhere   (Eq. 7, 8)
    L_ct  = mean ||u(q, tau_rcl) - u(c_y, tau_rcl)||^2 / 2                            (line 9)
    L_rcl = |L_ct - alpha_rcl|    in even epochs
            L_ct                  in odd epochs where L_ct > alpha_rcl
            mean[ p_y ||u(q) - u(c_y)||^2 + (1 - p_y) ||u(q)||^2 ] / 2   otherwise    (line 17)
    L     = L_rce + lambda_rcl * L_rcl

p_y is the softmax of the logits as they are, and is not detached. Centers start from N(0, 1) and have an SGD of their
own on L (constant learning rate). Where paper and reference code differ: the CE part is normalised with tau_rce
(line 20 passes tau_rcl), 1e-7 is added to norms, and the two clamps `upper_*` exist, as in the code; 1 switches them
off. center_gradient = "total" (default) gives the centers the gradient of L, as the code does; "rcl" that of L_rcl, as
line 24 does: 1 / lambda times as much.

Features after a ReLU cannot reach the negative parts of centers, which hardly move: L_ct >= mean_c ||min(u(c, tau_rcl),
0)||^2 / 2, 0.21 to 0.24 for 100 to 1024 features at tau_rcl = 1. With alpha_rcl at or below that floor the center part
never relaxes, and a run says so. So alpha_rcl is, where it is not given, `floors` times the floor. The authors did not
publish their hyper-parameters: the defaults are ours, from a study (benchmarks/centers.py; docs/centers.md).
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
from miabench.defenses._relaxation import RelaxedCenterLoss, RelaxedCrossEntropy, RelaxedLosses, center_weight

from miabench import LATER, Criterion, Data, Defense, Field, Model, Range


class CRL(Defense, frozen=True):
    """Relaxed cross entropy on normalised logits, and features held near relaxed class centers."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {
        "alpha_rce": Range(0.05, 3, log=True),
        "tau_rce": Range(0.01, 1, log=True),
        "floors": Range(1.2, 8, log=True, unless="alpha_rcl"),
        "tau_rcl": Range(0.3, 3, log=True),
        "lambda_rcl": Range(0.05, 5, log=True),
    }

    alpha_rce: float | None = Field(
        None, ge=0, description="α_rce: level of the normalised cross entropy, in nats; none: 1, at most half of ln C"
    )
    tau_rce: float = Field(0.1, ge=0, description="τ_rce: strength of the logits' normalisation; 0: none")
    alpha_rcl: float | None = Field(
        None, ge=0, description="α_rcl: level of the center loss, a squared distance / 2; none: by `floors`"
    )
    floors: Annotated[float, LATER] = Field(
        5.0, gt=0, description="α_rcl in multiples of the floor of L_ct, where it is not given"
    )
    tau_rcl: float = Field(
        1.0, ge=0, description="τ_rcl: strength of the features' and centers' normalisation; 0: none"
    )
    lambda_rcl: float = Field(2.0, ge=0, description="λ: weight of the relaxed center loss")
    upper_rce: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the soft targets; 1: off")
    upper_rcl: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the center loss; 1: off")
    center_lr: float = Field(0.001, gt=0, description="τ_c: constant learning rate of the centers")
    center_gradient: Annotated[Literal["total", "rcl"], LATER] = Field(
        "total", description="whose gradient moves the centers: the total loss', or L_rcl's alone"
    )

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The CRL loss; `criterion.centers` is a Parameter (C, D)."""
        level = center_loss_level(self.alpha_rcl, self.floors, feature_dim, self.tau_rcl)
        shape, weight = (num_classes, feature_dim), center_weight(self.center_gradient, self.lambda_rcl)
        return RelaxedLosses(
            RelaxedCrossEntropy(cross_entropy_level(self.alpha_rce, num_classes), self.tau_rce, self.upper_rce),
            RelaxedCenterLoss(level, self.tau_rcl, self.upper_rcl, shape, weight),
            self.lambda_rcl,
            self.center_lr,
        )

    def advice(self, data: Data, model: Model) -> Sequence[str]:
        """Warns where a part never relaxes, or nothing can be learnt."""
        ce = cross_entropy_advice(Level("crl", "alpha_rce", self.alpha_rce, self.tau_rce, "tau_rce"), data.num_classes)
        if self.lambda_rcl == 0:
            return ce
        return ce + center_loss_advice(
            Level("crl", "alpha_rcl", self.alpha_rcl, self.tau_rcl, "tau_rcl"), self.floors, data, model
        )
