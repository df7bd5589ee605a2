"""Regularisation by weight decay (Tan et al., AISTATS 2023, arXiv:2205.14055).

CE's own training with another weight decay in its schedule: every step of SGD takes `weight_decay` times the weights
beside the gradient of cross entropy, so that it lowers L = CE + (weight_decay / 2) * ||w||^2, all weights and biases.
Tan et al. find that regularisation and the number of parameters have to be chosen together: with enough regularisation
more parameters give more privacy and more accuracy, without it they cost privacy. The arguments `width` of `cnn`,
`resnet18` and `resnet20` and `hidden` of `mlp` change that number.
Differs from the paper: its theory is of ridge regression and its networks are also stopped early; for that there is
`early-stopping`. The default is ten times the schedule's usual 5e-4.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from miabench import Defense, Field, Range, Role, Task, Train


class WeightDecay(Defense, frozen=True):
    """Cross entropy under a weight decay of its own."""

    tune: ClassVar = {"weight_decay": Range(1e-4, 0.1, log=True)}

    weight_decay: float = Field(5e-3, ge=0, description="λ: weight decay, in place of the schedule's")

    def requires(self, role: Role) -> dict[str, Train]:
        """CE's network under this weight decay."""
        return {"net": Train("ce", schedule={"weight_decay": self.weight_decay})}

    def fit(self, task: Task) -> nn.Module:
        """The network as it is."""
        return task.given["net"]
