"""Distilling a teacher's answers into a student: what both forms of DMP share."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from miabench import Defense, Field, Task


class Distillation(Defense, frozen=True):
    """The student's side of DMP: which reference inputs it learns from, and how."""

    tau: float = Field(1.0, gt=0, description="τ: temperature of teacher and student")
    selection: Literal["entropy", "all"] = Field("entropy", description="which reference inputs are used")
    select_fraction: float = Field(0.5, gt=0, le=1, description="share used with selection = entropy")
    kl: Literal["batch-mean", "reference"] = Field("batch-mean", description="mean over records, or also over classes")

    def distil(self, task: Task, teacher: nn.Module, x: Tensor) -> nn.Module:
        """A network trained to answer as the teacher on the selected ones of reference inputs x (n, ...)."""
        answers = task.evaluate(teacher, x)[0]  # (n, C)
        if self.selection == "entropy":
            kept = lowest_entropy(answers, math.ceil(self.select_fraction * len(x)))
            x, answers = x[kept], answers[kept]
        net = task.net()
        opt = task.optimizer(net)

        def step(rows: Tensor) -> Tensor:
            return distillation_loss(net(task.augment(x[rows]))[0], answers[rows], self.tau, self.kl)

        for _ in task.epochs(net=net, opt=opt):
            task.train_epoch(step, batches=task.batches(torch.arange(len(x), device=task.device), how="in-order"))
        return net


def distillation_loss(student: Tensor, teacher: Tensor, tau: float, kl: str) -> Tensor:
    """Mean KL(teacher || student) of logits (B, C) at temperature tau; kl = "reference" divides by C too."""
    log_q = (student / tau).log_softmax(1)
    log_p = (teacher / tau).log_softmax(1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    return divergence / student.shape[1] if kl == "reference" else divergence


def lowest_entropy(logits: Tensor, count: int) -> Tensor:
    """Positions, ascending, of the `count` rows of logits (n, C) with the lowest entropy at temperature 1."""
    log_p = logits.double().log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1)
    return entropy.argsort(stable=True)[:count].sort().values
