"""Distillation for membership privacy, DMP (Shejwalkar and Houmansadr, AAAI 2021), with a split reference set.

A share of the training part is withheld as reference. A teacher is trained with CE on the rest, the members. The
student never sees a member: it starts from the teacher's initial weights and lowers, on reference records,
    L = mean_B KL(softmax(teacher / tau) || softmax(student / tau)),
without a factor tau^2 and without CE, under the same schedule and with batches in a fixed order, as the CRL authors'
code does. Of the reference records the `select_fraction` with the lowest teacher entropy is used (DMP's criterion);
selection = "all" is the CRL authors' code. kl = "reference" divides by C too, as that code does.
tau, the reference share and the selected share are unpublished: the defaults are ours.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from miabench import Defense, Field, Role, Task, Train


class DMP(Defense, frozen=True):
    """A student that knows the members only through its teacher's answers to other records."""

    tau: float = Field(1.0, gt=0, description="τ: temperature of teacher and student")
    reference_fraction: float = Field(0.5, gt=0, lt=1, description="share of the training part withheld as reference")
    selection: Literal["entropy", "all"] = Field("entropy", description="which reference records are used")
    select_fraction: float = Field(0.5, gt=0, le=1, description="share used with selection = entropy")
    kl: Literal["batch-mean", "reference"] = Field("batch-mean", description="mean over records, or also over classes")

    def withhold(self) -> dict[str, float]:
        """The reference part."""
        return {"reference": self.reference_fraction}

    def requires(self, role: Role) -> dict[str, Train]:
        """The teacher."""
        return {"teacher": Train("ce")}

    def fit(self, task: Task) -> nn.Module:
        """Distil on the selected reference records."""
        ids = task.ids["reference"]
        answers = _answers(task.given["teacher"], task.x, ids)
        if self.selection == "entropy":
            kept = lowest_entropy(answers, math.ceil(self.select_fraction * len(ids)))
            ids, answers = ids[kept], answers[kept]
        return distil(task, ids, answers, self)


def distil(task: Task, ids: Tensor, answers: Tensor, params: DMP) -> nn.Module:
    """Train a network to give a teacher's logits (n, C) on pool rows ids (n,)."""
    net = task.net()
    opt = task.optimizer(net)
    order = torch.arange(len(ids), device=task.device)
    for _ in task.epochs(net=net, opt=opt):
        net.train()
        total = torch.zeros((), device=task.device)
        for rows in task.batches(order, how="in-order"):
            student = net(task.augment(task.x[ids[rows]]))[0]
            loss = distillation_loss(student, answers[rows], params.tau, params.kl)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            total += loss.detach() * len(rows)
        task.record(loss=total / len(ids))
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


@torch.no_grad()
def _answers(teacher: nn.Module, x: Tensor, ids: Tensor) -> Tensor:
    return torch.cat([teacher(x[part])[0] for part in torch.split(ids, 1024)])
