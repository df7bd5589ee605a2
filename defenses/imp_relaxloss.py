"""ImpRelaxLoss: CRL's improved relaxed loss alone (Fang and Kim, UAI 2024, Eq. 5 to 9; the ablation of Table 2).

L = L_rce of `crl`: the relaxed policy and logit normalisation, no centers. Equals crl with lambda_rcl = 0. The defaults
are ours, those of `crl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from miabench.defenses._levels import Level, cross_entropy_advice, cross_entropy_level
from miabench.defenses._relaxation import RelaxedCrossEntropy
from torch import Tensor

from miabench import Criterion, Data, Defense, Field, Model, Range


class ImpRelaxLoss(Defense, frozen=True):
    """Relaxed cross entropy on normalised logits."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {
        "alpha_rce": Range(0.05, 3, log=True),
        "tau_rce": Range(0.01, 1, log=True),
    }

    alpha_rce: float | None = Field(
        None, ge=0, description="α_rce: level of the normalised cross entropy, in nats; none: 1, at most half of ln C"
    )
    tau_rce: float = Field(0.1, ge=0, description="τ_rce: strength of the logits' normalisation; 0: none")
    upper_rce: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the soft targets; 1: off")

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The relaxed loss."""
        return _ImpRelaxLoss(self, cross_entropy_level(self.alpha_rce, num_classes))

    def advice(self, data: Data, model: Model) -> Sequence[str]:
        """Warns where the loss never relaxes, or nothing can be learnt."""
        level = Level("imp-relaxloss", "alpha_rce", self.alpha_rce, self.tau_rce, "tau_rce")
        return cross_entropy_advice(level, data.num_classes)


class _ImpRelaxLoss(Criterion):
    def __init__(self, params: ImpRelaxLoss, alpha: float) -> None:
        super().__init__()
        self.rce = RelaxedCrossEntropy(alpha, params.tau_rce, params.upper_rce)

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        loss: Tensor = self.rce(logits, targets, epoch)
        return loss

    def measured(self) -> dict[str, Tensor]:
        return self.rce.measured()
