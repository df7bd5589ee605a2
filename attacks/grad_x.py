"""Gradient norm at the input, white-box (Rezaei and Liu, CVPR 2021, arXiv:2005.13702; "Grad-x" in Table 1).

score = -log || d CE(net(x), y) / d x ||,  x the normalised input, net in eval mode, one norm per record

A member lies nearer to a minimum of the loss. The papers rank by the norm itself; its logarithm ranks the same.
Differs from the papers' code, which loops over records: one backward pass serves a batch, because in eval mode
records do not touch each other. And records whose p_y rounds to 1 are not tied (`_margin`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from miabench.attacks._margin import log_loss_gradient_norms, margins
from torch import Tensor

from miabench import Access, Attack, Data, Field, Model, Observed, Probe, RecordNoise, Scores, State

Norm = Literal["l1", "l2", "l-inf"]

ORDERS: dict[Norm, float] = {"l1": 1, "l2": 2, "l-inf": float("inf")}


class LogGradientNorm(Probe, frozen=True):
    """log || d CE / d x || of each record."""

    version: ClassVar[int] = 2
    sees: ClassVar[Literal["label", "served", "network"]] = "network"
    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.grad_x", "LogGradientNorm")

    norm: Norm = Field("l2", description="l1, l2 or l-inf")

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Natural logarithms (n,), float64; parameters' gradients are not computed."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logits: Tensor = ask(x)[0]
            (gradient,) = torch.autograd.grad(margins(logits, y).sum(), x)
        # on the CPU, as not every device has float64
        slope = torch.linalg.vector_norm(gradient.cpu().double().flatten(1), ORDERS[self.norm], dim=1)
        return log_loss_gradient_norms(slope, logits, y)


class GradX(Attack, frozen=True):
    """Members have the smaller loss gradient at the input."""

    access: ClassVar[Access] = "white-box"

    norm: Norm = Field("l2", description="norm of the gradient: l1, l2 or l-inf")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Tokens have no gradient."""
        if data.x.dtype == torch.int64:
            return "its records are integer tokens, which have no gradient; it needs images or real-valued features"
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The gradient norm alone."""
        return (LogGradientNorm(norm=self.norm),)

    def score(self, target: Observed, state: State) -> Scores:
        """-log of the norm (N,)."""
        (probe,) = self.probes()
        return -target[probe]
