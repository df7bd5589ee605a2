"""Regularisation by weight decay (Tan et al., AISTATS 2023, arXiv:2205.14055).

CE's own training with another weight decay in its schedule: every step of SGD takes `weight_decay` times the weights
beside the gradient of cross entropy, so that it lowers L = CE + (weight_decay / 2) * ||w||^2, all weights and biases.
Tan et al. show that more parameters cost privacy, and that with enough regularisation they no longer do: they bring
privacy and accuracy. `width` of `cnn`, `resnet18` and `resnet20` and `hidden` of `mlp` change their number.
Differs from the paper: it proves this of logistic regression under a ridge penalty, which is weight decay, and shows it
of networks that are stopped early; for that there is `early-stopping`. The default is ten times the usual 5e-4.
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
