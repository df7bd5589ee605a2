"""The loop that most defenses share: SGD on a criterion."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.optim import SGD, Optimizer

from miabench.errors import UserError
from miabench.training.classifier import Classifier
from miabench.training.criterion import Criterion
from miabench.training.task import Task


def train_with_criterion(task: Task, make_criterion: Callable[[int, int], Criterion]) -> nn.Module:
    """The shared loop: SGD on a criterion, in the schedule's epochs and batches.

    Args:
        task: what to train.
        make_criterion: (num_classes, feature_dim) -> the loss; its own parameters, if any, get their own SGD.
    """
    net = task.net()
    criterion = task.new("criterion", lambda: make_criterion(task.num_classes, cast(Classifier, net).feature_dim))
    if not isinstance(criterion, Criterion):
        raise UserError(f"a defense's criterion must be a miabench.Criterion; it is a {type(criterion).__name__}")
    optimizers: dict[str, Optimizer] = {"sgd": task.optimizer(net)}
    if own := list(criterion.parameters()):
        schedule = task.schedule
        optimizers["criterion_sgd"] = SGD(
            own, lr=criterion.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay
        )
    for epoch in task.epochs(net=net, criterion=criterion, **optimizers):
        _one_epoch(task, net, criterion, list(optimizers.values()), epoch)
    return net


def _one_epoch(task: Task, net: nn.Module, criterion: Criterion, optimizers: list[Optimizer], epoch: int) -> None:
    net.train()
    total = torch.zeros((), device=task.device)
    correct = torch.zeros((), device=task.device)
    for ids in task.batches(task.ids["train"]):
        y = task.y[ids]  # (B,)
        logits, features = net(task.augment(task.x[ids]))
        loss = criterion(logits, features, y, epoch)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        total += loss.detach() * len(ids)
        correct += (logits.detach().argmax(1) == y).sum()
    n = len(task.ids["train"])
    task.record(loss=total / n, accuracy=correct / n, **criterion.measured())
