"""RelaxLoss (Chen, Yu and Fritz, ICLR 2022, arXiv:2207.05801; as given in Fang and Kim, UAI 2024, Eq. 3).

Per mini-batch, with the mean cross entropy L:
    even epochs                  |L - alpha|
    odd epochs, L > alpha        L
    odd epochs, otherwise        cross entropy with soft targets: p_y at the class, (1 - p_y)/(C - 1) elsewhere

variant = "eq3" (default) is Table 1's baseline in the CRL paper. variant = "original" is Chen et al.'s code: epochs
count from 0, and the third case is mean[(1 - correct) * soft cross entropy - cross entropy].
Soft targets are not detached in either. `upper` clamps p_y in them; it is in both codes, not in the CRL paper.
The defaults are ours: neither paper gives values for these datasets and models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from miabench.defenses._levels import Level, cross_entropy_advice, cross_entropy_level
from miabench.defenses._relaxation import Relaxation, confidence, soft_cross_entropy
from torch import Tensor
from torch.nn import functional as F

from miabench import Criterion, Data, Defense, Field, Model, Range


class RelaxLoss(Defense, frozen=True):
    """Keeps the training loss near a level alpha instead of driving it to zero."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"alpha": Range(0.05, 3, log=True)}

    alpha: float | None = Field(
        None, ge=0, description="α: level of the mean cross entropy, in nats; none: 1, at most half of ln C"
    )
    upper: float = Field(1.0, gt=0, le=1, description="upper bound on p_y in the soft targets; 1: off")
    variant: Literal["eq3", "original"] = Field("eq3", description="Eq. 3 of the CRL paper, or Chen et al.'s code")

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The relaxed cross entropy."""
        return _RelaxLoss(self, cross_entropy_level(self.alpha, num_classes))

    def advice(self, data: Data, model: Model) -> Sequence[str]:
        """Warns where nothing can be learnt."""
        return cross_entropy_advice(Level("relaxloss", "alpha", self.alpha), data.num_classes)


class _RelaxLoss(Criterion):
    def __init__(self, params: RelaxLoss, alpha: float) -> None:
        super().__init__()
        self.params = params
        self.relax = Relaxation(alpha, "rce")

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        log_p = logits.log_softmax(1)
        ce = F.nll_loss(log_p, targets, reduction="none")
        original = self.params.variant == "original"

        def softer() -> Tensor:
            soft = soft_cross_entropy(log_p, confidence(logits, targets, self.params.upper), targets)
            return ((logits.argmax(1) != targets) * soft - ce).mean() if original else soft.mean()

        loss: Tensor = self.relax(ce.mean(), softer, epoch - 1 if original else epoch)
        return loss

    def measured(self) -> dict[str, Tensor]:
        return self.relax.measured()
