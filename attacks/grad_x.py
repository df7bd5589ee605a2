"""Gradient norm at the input, white-box (Rezaei and Liu, CVPR 2021, arXiv:2005.13702; "Grad-x" in Table 1).

score = -log || d CE(net(x), y) / d x ||,  x the normalised input, net in eval mode, one norm per record

A member lies nearer to a minimum of the loss. The papers rank by the norm itself; its logarithm ranks the same.
Differs from the papers' code, which loops over records: one backward pass serves a batch, because in eval mode
records do not touch each other. And d CE / d x = (1 - p_y) * d m / d x with m = logsumexp_{i != y} z_i - z_y, whose
factor rounds to 0 in float32 once p_y is within 1e-7 of 1: all such records would be tied. So the network is
differentiated for m, which never saturates, and log(1 - p_y) is added in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from miabench import Attack, Data, Field, Model, Observed, Probe, RecordNoise
from miabench.logprob import log_odds

Norm = Literal["l1", "l2", "l-inf"]

ORDERS: dict[Norm, float] = {"l1": 1, "l2": 2, "l-inf": float("inf")}
SMALLEST = np.finfo(np.float64).tiny  # stands for a gradient of exactly 0 (no active path to x): scores are finite


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
            at_label = logits.gather(1, y[:, None])[:, 0]
            margin = logits.scatter(1, y[:, None], -torch.inf).logsumexp(1) - at_label
            (gradient,) = torch.autograd.grad(margin.sum(), x)
        # on the CPU, as not every device has float64
        slope = torch.linalg.vector_norm(gradient.cpu().double().flatten(1), ORDERS[self.norm], dim=1).numpy()
        log_not_y = -np.logaddexp(0, log_odds(logits.detach().cpu().numpy(), y.cpu().numpy()))  # log(1 - p_y)
        return torch.from_numpy(np.log(np.maximum(slope, SMALLEST)) + log_not_y)


class GradX(Attack, frozen=True):
    """Members have the smaller loss gradient at the input."""

    access: ClassVar[Literal["label", "black-box", "white-box"]] = "white-box"

    norm: Norm = Field("l2", description="norm of the gradient: l1, l2 or l-inf")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Tokens have no gradient."""
        if data.x.dtype == torch.int64:
            return "its records are integer tokens, which have no gradient; it needs images or real-valued features"
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The gradient norm alone."""
        return (LogGradientNorm(norm=self.norm),)

    def score(self, target: Observed, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """-log of the norm (N,)."""
        (probe,) = self.probes()
        return -target[probe]
