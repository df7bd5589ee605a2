"""SELENA, self-ensembling by Split-AI and self-distillation (Tang et al., USENIX Security 2022, arXiv:2110.08324).

Split-AI: K sub-models are trained with CE; each member is left out of L of them, drawn at random. A member's answer is
the mean of the confidence vectors of the L sub-models that have not seen it, t = mean softmax(z_k): what they know of
the member is what they know of any record.
Self-distillation: the answered network is trained from its initial weights, on the members, with
    L = -mean_B sum_c t_c log softmax(z)_c,
so that it never sees a member's class. Each sub-model learns from about n (1 - L / K) records: all K cost as much as
K - L trainings on n. Sub-models and network are trained by the experiment's schedule to its last epoch (the authors'
code keeps the epoch of best validation accuracy, and distils with a schedule of its own).
A shadow model of the same defense is the paper's adaptive attacker: it splits and distils too.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Defense, Field, Range, Role, Task, Train


class SELENA(Defense, frozen=True):
    """A network that knows each member only through sub-models that were trained without it."""

    tune: ClassVar = {"left_out": Range(1, 20, unless="sub_models")}

    sub_models: int = Field(25, ge=2, description="K: sub-models")
    left_out: int = Field(10, ge=1, description="L: sub-models that are trained without a member, each its own")

    @model_validator(mode="after")
    def _some_are_left(self) -> Self:
        if self.left_out >= self.sub_models:
            raise ValueError("left_out must be below sub_models: every member is in sub_models - left_out of them")
        return self

    def requires(self, role: Role) -> dict[str, Train]:
        """The sub-models."""
        members = role.ids["train"]
        left_out = self._split(len(members), role.generator("Split-AI"))
        return {_name(k): Train("ce", ids=members[~left_out[:, k]]) for k in range(self.sub_models)}

    def fit(self, task: Task) -> nn.Module:
        """Distil the sub-models' answers to the members."""
        members = task.ids["train"]
        answers = torch.zeros(len(task.x), task.num_classes, device=task.device)
        answers[members] = self._split_ai(task)
        net = task.net()
        opt = task.optimizer(net)

        def step(ids: Tensor) -> tuple[Tensor, Tensor]:
            logits = net(task.augment(task.x[ids]))[0]
            return F.cross_entropy(logits, answers[ids].to(logits)), logits

        for _ in task.epochs(net=net, opt=opt):
            task.train_epoch(step)
        return net

    def _split(self, n: int, generator: torch.Generator) -> Tensor:
        """Which sub-models each of n members is left out of (n, K): L of each row."""
        return torch.rand(n, self.sub_models, generator=generator).argsort(1) < self.left_out

    def _split_ai(self, task: Task) -> Tensor:
        """The mean confidence vectors (n, C) of the sub-models without each member."""
        members = task.ids["train"]
        left_out = self._split(len(members), task.role_generator("Split-AI")).to(task.device)
        total = torch.zeros(len(members), task.num_classes, device=task.device)
        for k in range(self.sub_models):
            rows = left_out[:, k].nonzero()[:, 0]
            if len(rows):
                total[rows] += task.evaluate(task.given.once(_name(k)), task.x[members[rows]])[0].softmax(1).to(total)
        return total / self.left_out


def _name(k: int) -> str:
    return f"sub-model {k}"
