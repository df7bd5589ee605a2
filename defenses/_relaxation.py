"""The relaxed policy that RelaxLoss and CRL share, and the two relaxed losses that CRL is made of.

Symbols as in `crl`: u(v, tau) = v / (1 + tau * ||v||).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Criterion

EPSILON = 1e-7  # added to norms in the CRL authors' code
BRANCHES = ("fit", "hold", "soften")


class Relaxation(nn.Module):
    """Keeps a mini-batch's mean loss near a level alpha, and counts which way each step took.

    Even epochs: |L - alpha| ("hold"). Odd epochs: L where L > alpha ("fit"), else a softer loss ("soften"). The choice
    is made for the mini-batch, on the device (RelaxLoss, Eq. 3; CRL, Eq. 9 and lines 10 to 18; the parity is tested
    first and epochs count from 1, as in the CRL authors' code).

    Args:
        alpha: the level.
        name: begins the names of what is recorded: `<name>_fit`, `<name>_hold`, `<name>_soften`, shares of steps.
    """

    steps: Tensor
    one_step: Tensor

    def __init__(self, alpha: float, name: str) -> None:
        super().__init__()
        self.alpha = alpha
        self.name = name
        self.register_buffer("steps", torch.zeros(len(BRANCHES), dtype=torch.int64))
        self.register_buffer("one_step", torch.eye(len(BRANCHES), dtype=torch.int64), persistent=False)

    def forward(self, loss: Tensor, softer: Callable[[], Tensor], epoch: int) -> Tensor:
        """The relaxed loss of one mini-batch, from its mean loss (0-dim) and what gives the softer one (0-dim)."""
        if epoch % 2 == 0:
            self.steps.add_(self.one_step[1])
            return (loss - self.alpha).abs()
        above = loss > self.alpha
        self.steps.add_(torch.where(above, self.one_step[0], self.one_step[2]))
        if loss.is_cpu:  # nothing waits to be read here, and what is not taken need not be computed
            return loss if above else softer()
        return torch.where(above, loss, softer())

    def measured(self) -> dict[str, Tensor]:
        """Share of the steps since the last call that took each branch."""
        shares = self.steps / self.steps.sum().clamp(min=1)
        self.steps = torch.zeros_like(self.steps)
        return {f"{self.name}_{branch}": share for branch, share in zip(BRANCHES, shares, strict=True)}


class RelaxedCrossEntropy(Relaxation):
    """L_rce of CRL (Eq. 5 to 9): relaxed cross entropy of normalised logits; RelaxLoss (Eq. 3) with tau = 0.

    Args:
        alpha: level of the mean cross entropy, in nats.
        tau: strength of the logits' normalisation; 0: none.
        upper: upper bound on p_y in the soft targets; 1: off.
    """

    def __init__(self, alpha: float, tau: float, upper: float) -> None:
        super().__init__(alpha, "rce")
        self.tau = tau
        self.upper = upper

    def forward(self, logits: Tensor, targets: Tensor, epoch: int) -> Tensor:  # type: ignore[override]
        """0-dim loss of logits (B, C) and targets (B,)."""
        log_p = normalise(logits, self.tau).log_softmax(1)

        def softer() -> Tensor:
            return soft_cross_entropy(log_p, confidence(logits, targets, self.upper), targets).mean()

        return super().forward(F.nll_loss(log_p, targets), softer, epoch)


class RelaxedCenterLoss(Relaxation):
    """L_rcl of CRL (Algorithm 1, lines 7 to 18): relaxed squared distance of features to their class centers.

    Args:
        alpha: level of the center loss.
        tau: strength of the features' and centers' normalisation; 0: none.
        upper: upper bound on p_y in the softer loss; 1: off.
        shape: (num_classes, feature_dim).
        center_weight: what the gradient that reaches the centers is multiplied by; the network's is not.
    """

    def __init__(
        self, alpha: float, tau: float, upper: float, shape: tuple[int, int], center_weight: float = 1.0
    ) -> None:
        super().__init__(alpha, "rcl")
        self.center_weight = center_weight
        self.tau = tau
        self.upper = upper
        self.centers = nn.Parameter(torch.randn(shape))

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:  # type: ignore[override]
        """0-dim loss of logits (B, C), features (B, D) and targets (B,)."""
        q = normalise(features, self.tau)  # (B, D)
        c = F.embedding(targets, normalise(self._weighted_centers(), self.tau))  # (B, D)
        to_center = (q - c).square().sum(1)  # (B,)

        def softer() -> Tensor:
            to_origin = q.square().sum(1)  # (B,)
            p_y = confidence(logits, targets, self.upper)
            return (p_y * to_center + (1 - p_y) * to_origin).mean() / 2

        return super().forward(to_center.mean() / 2, softer, epoch)

    def _weighted_centers(self) -> Tensor:
        """The centers (C, D), with the gradient that reaches them multiplied."""
        if self.center_weight == 1:
            return self.centers
        at = self.centers.detach()
        return at + self.center_weight * (self.centers - at)


class RelaxedLosses(Criterion):
    """L = L_rce + weight * L_rcl (CRL, Algorithm 1, line 22).

    Args:
        rce: the relaxed cross entropy.
        rcl: the relaxed center loss.
        weight: lambda.
        center_lr: constant learning rate of the centers.
    """

    def __init__(self, rce: RelaxedCrossEntropy, rcl: RelaxedCenterLoss, weight: float, center_lr: float) -> None:
        super().__init__()
        self.rce = rce
        self.rcl = rcl
        self.weight = weight
        self.lr = center_lr

    @property
    def centers(self) -> nn.Parameter:
        """Class centers (C, D)."""
        return self.rcl.centers

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """0-dim loss."""
        rce: Tensor = self.rce(logits, targets, epoch)
        rcl: Tensor = self.rcl(logits, features, targets, epoch)
        return rce + self.weight * rcl

    def measured(self) -> dict[str, Tensor]:
        """Shares of both losses' branches."""
        return {**self.rce.measured(), **self.rcl.measured()}


def center_weight(center_gradient: str, weight: float) -> float:
    """What gives centers the gradient of L_rcl in place of lambda * L_rcl's, where that is asked for; 0 stays 0."""
    return 1 / weight if center_gradient == "rcl" and weight else 1.0


def normalise(v: Tensor, tau: float) -> Tensor:
    """u(v, tau), row by row (CRL, Eq. 5 and line 7)."""
    if tau == 0:
        return v
    length: Tensor = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    return v / (1 + tau * (length + EPSILON))


def soft_cross_entropy(log_p: Tensor, confidence: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy (B,) with soft targets: the confidence at the class, the rest spread evenly (CRL, Eq. 7 and 8).

    Args:
        log_p: log probabilities (B, C).
        confidence: target probability of the true class (B,). Not detached: the gradient flows through it.
        targets: true classes (B,).
    """
    at_class = log_p.gather(1, targets[:, None])[:, 0]
    elsewhere = (log_p.sum(1) - at_class) / (log_p.shape[1] - 1)
    return -(confidence * at_class + (1 - confidence) * elsewhere)


def confidence(logits: Tensor, targets: Tensor, upper: float) -> Tensor:
    """Probability of the true class (B,), clamped from above (upper = 1 switches the clamp off)."""
    return logits.softmax(1).gather(1, targets[:, None])[:, 0].clamp(max=upper)
