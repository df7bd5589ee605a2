"""Gradient norm at the weights, white-box (Nasr et al., S&P 2019, arXiv:1812.00910; Rezaei and Liu, CVPR 2021).

score = -log || d CE(net(x), y) / d w ||,  w all parameters, net in eval mode, one norm per record

A member lies nearer to a minimum of the loss. The papers rank by the norm itself (Nasr et al. also learn from the
gradients); its logarithm ranks the same. Per-record gradients come from torch.func, as many at once as fit memory;
networks that torch.func cannot map (recurrent ones) are differentiated record by record. Records whose p_y rounds to 1
are not tied (`_margin`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from miabench.attacks._margin import log_loss_gradient_norms, margins
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from miabench import Access, Attack, Field, Observed, Probe, RecordNoise, Scores, State

Norm = Literal["l1", "l2"]

ORDERS: dict[Norm, float] = {"l1": 1, "l2": 2}
GRADIENT_BYTES = 2**27  # of per-record gradients held at once


class LogWeightGradientNorm(Probe, frozen=True):
    """log || d CE / d w || of each record."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.grad_w", "LogWeightGradientNorm")

    norm: Norm = Field("l2", description="l1 or l2")

    sees: ClassVar[Literal["label", "served", "network"]] = "network"

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Natural logarithms (n,), float64."""
        assert isinstance(ask, nn.Module)
        weights = {name: weight.detach() for name, weight in ask.named_parameters() if weight.requires_grad}
        recurrent = any(isinstance(layer, nn.RNNBase) for layer in ask.modules())
        norms = (_norms_one_by_one if recurrent else _norms_in_pieces)(ask, weights, x, y, ORDERS[self.norm])
        return log_loss_gradient_norms(norms, ask(x)[0], y)


class GradW(Attack, frozen=True):
    """Members have the smaller loss gradient at the weights."""

    access: ClassVar[Access] = "white-box"

    norm: Norm = Field("l2", description="norm of the gradient over all parameters: l1 or l2")

    def probes(self) -> tuple[Probe, ...]:
        """The gradient norm alone."""
        return (LogWeightGradientNorm(norm=self.norm),)

    def score(self, target: Observed, state: State) -> Scores:
        """-log of the norm (N,)."""
        (probe,) = self.probes()
        return -target[probe]


def _norms_in_pieces(net: nn.Module, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, order: float) -> Tensor:
    """Norms of the margin's gradients (n,), by torch.func."""

    def margin(weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return margins(functional_call(net, dict(weights), (x[None],))[0], y[None])[0]

    gradients = vmap(grad(margin), in_dims=(None, 0, 0))
    at_once = max(1, GRADIENT_BYTES // sum(weight.nbytes for weight in weights.values()))
    pieces = zip(torch.split(x, at_once), torch.split(y, at_once), strict=True)
    return torch.cat([_norms(gradients(weights, *piece).values(), order) for piece in pieces])


def _norms_one_by_one(net: nn.Module, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, order: float) -> Tensor:
    """The same by autograd, one record at a time."""
    learnt = [dict(net.named_parameters())[name] for name in weights]
    norms = []
    for i in range(len(x)):
        with torch.enable_grad():
            margin = margins(net(x[i : i + 1])[0], y[i : i + 1]).sum()
            found = torch.autograd.grad(margin, learnt, allow_unused=True)
        norms.append(_norms([gradient[None] for gradient in found if gradient is not None], order))
    return torch.cat(norms)


def _norms(gradients: Iterable[Tensor], order: float) -> Tensor:
    """Norm over all parameters (n,), of gradients (n, ...) by parameter."""
    parts = [torch.linalg.vector_norm(gradient.flatten(1), order, dim=1) for gradient in gradients]
    norms: Tensor = torch.linalg.vector_norm(torch.stack(parts), order, dim=0)
    return norms
