"""Pruning by magnitude, then fine-tuning (Wang et al., IJCAI 2021, arXiv:2008.13578; Yuan and Zhang, USENIX Sec. 2022).

CE's network loses, in every layer, the share `sparsity` of its weights: the smallest in magnitude. What is pruned stays
0; the rest is trained further on the members, at the schedule's last learning rate, with
    L = CE(z, y) + lambda * mean KL( p'_i || p_i )
p_i and p'_i are the sorted confidence vectors of the i-th record of a mini-batch's first and second half: Yuan and
Zhang's defense of pruned networks, which draws the answers of any two members together (they take lambda around 4).
lambda 0, the default, is pruning alone: Wang et al. call it a defense, Yuan and Zhang find that it leaks more.
Weights are the matrices and kernels of all layers, not biases or what normalises. The same share of every layer, half
the schedule's epochs of fine-tuning and sparsity 0.7 are those of Yuan and Zhang's code; SGD in place of its Adam, and
the last epoch in place of the best on validation data, are ours. Wang et al.'s algorithm, which searches for the
subnetwork, is not copied: what is compared here is what both papers share.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from miabench import EPOCHS, Defense, Field, Range, Role, Task, Train


class Pruning(Defense, frozen=True):
    """Takes the smallest weights from CE's network, and trains the rest a little further."""

    tune: ClassVar = {"sparsity": Range(0.3, 0.98), "lambda_pair": Range(0, 16)}

    sparsity: float = Field(0.7, ge=0, lt=1, description="share of every layer's weights that is taken away")
    fine_tune_epochs: Annotated[int | None, EPOCHS] = Field(
        None, ge=1, description="epochs after pruning, at most the schedule's; None: half of the schedule's"
    )
    lambda_pair: float = Field(0.0, ge=0, description="λ: weight of the divergence between two members' answers")

    def requires(self, role: Role) -> dict[str, Train]:
        """The network to prune."""
        return {"net": Train("ce")}

    def fit(self, task: Task) -> nn.Module:
        """Prune and fine-tune."""
        net, plan = task.net(), task.schedule
        net.load_state_dict(task.given["net"].state_dict())
        prune(net, self.sparsity)
        opt = SGD(net.parameters(), plan.lr_at(plan.epochs), plan.momentum, weight_decay=plan.weight_decay)

        def step(ids: Tensor) -> tuple[Tensor, Tensor]:
            logits = net(task.augment(task.x[ids]))[0]
            loss = F.cross_entropy(logits, task.y[ids])
            return loss + self.lambda_pair * pair_divergence(logits) if self.lambda_pair else loss, logits

        for epoch in task.epochs(net=net, opt=opt):
            if epoch > (self.fine_tune_epochs or max(1, plan.epochs // 2)):
                break
            task.train_epoch(step)
        return net


def prune(net: nn.Module, sparsity: float) -> None:
    """Set the smallest weights of each layer to 0, and keep them there: no gradient reaches them, so SGD does not."""
    for weight in net.parameters():
        if weight.ndim > 1 and weight.requires_grad:
            pruned = torch.zeros_like(weight, dtype=torch.bool).flatten()
            pruned[weight.detach().abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = True
            kept = ~pruned.view_as(weight)
            with torch.no_grad():
                weight.mul_(kept)
            weight.register_hook(kept.to(weight).mul)  # type: ignore[no-untyped-call]


def pair_divergence(logits: Tensor) -> Tensor:
    """Mean KL(p' || p) of sorted confidence vectors, of a batch's second half from its first; an odd one is left."""
    log_p = logits.sort(1, descending=True).values.log_softmax(1)
    half = len(log_p) // 2
    first, second = log_p[:half], log_p[half : 2 * half]
    return (second.exp() * (second - first)).sum() / max(half, 1)
