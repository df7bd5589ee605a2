"""The relaxed policy that RelaxLoss and CRL share: fit a mini-batch, hold it at a level, or soften its targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BRANCHES = ("fit", "hold", "soften")


class Relaxation(nn.Module):
    """Keeps a mini-batch's mean loss near a level alpha, and counts which way each step took.

    Even epochs: |L - alpha| ("hold"). Odd epochs: L where L > alpha ("fit"), else a softer loss ("soften"). The
    choice is made for the mini-batch, on the device (RelaxLoss, Eq. 3; CRL, Eq. 9 and lines 10 to 18; the parity is
    tested first and epochs count from 1, as in the CRL authors' code).

    Args:
        alpha: the level.
        name: begins the names of what is recorded: `<name>_fit`, `<name>_hold`, `<name>_soften`, shares of steps.
    """

    steps: Tensor

    def __init__(self, alpha: float, name: str) -> None:
        super().__init__()
        self.alpha = alpha
        self.name = name
        self.register_buffer("steps", torch.zeros(len(BRANCHES), dtype=torch.int64))

    def forward(self, loss: Tensor, softer: Tensor, epoch: int) -> Tensor:
        """The relaxed loss of one mini-batch, from its mean loss and the softer one (both 0-dim)."""
        if epoch % 2 == 0:
            self.steps[1] += 1
            return (loss - self.alpha).abs()
        above = loss > self.alpha
        self.steps[0] += above
        self.steps[2] += ~above
        return torch.where(above, loss, softer)

    def measured(self) -> dict[str, Tensor]:
        """Share of the steps since the last call that took each branch."""
        shares = self.steps / self.steps.sum().clamp(min=1)
        self.steps = torch.zeros_like(self.steps)
        return {f"{self.name}_{branch}": share for branch, share in zip(BRANCHES, shares, strict=True)}


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
