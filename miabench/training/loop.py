"""The loop that most defenses share: SGD on a criterion."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from miabench.errors import UserError
from miabench.training.classifier import Classifier
from miabench.training.criterion import Criterion
from miabench.training.sgd import SGD
from miabench.training.task import Task

Augment: TypeAlias = Callable[[Tensor, Tensor, torch.Generator], Tensor | tuple[Tensor, Any]]


def train_with_criterion(
    task: Task, make_criterion: Callable[[int, int], Criterion], augment: Augment | None = None
) -> nn.Module:
    """The shared loop: SGD on a criterion, in the schedule's epochs and batches.

    Args:
        task: what to train.
        make_criterion: (num_classes, feature_dim) -> the loss; its own parameters, if any, get their own SGD.
        augment: changes what the dataset's own augmentation gives, see `Defense.augment`.
    """
    net = task.net()
    criterion = task.new("criterion", lambda: make_criterion(task.num_classes, cast(Classifier, net).feature_dim))
    if not isinstance(criterion, Criterion):
        raise UserError(f"a defense's criterion must be a miabench.Criterion; it is a {type(criterion).__name__}")
    optimizers: dict[str, Optimizer] = {"sgd": task.optimizer(net)}
    if own := list(criterion.parameters()):
        schedule = task.schedule
        optimizers["criterion_sgd"] = SGD(own, criterion.lr, schedule.momentum, schedule.weight_decay)

    def step(epoch: int, ids: Tensor) -> tuple[Tensor, Tensor]:
        x, targets = _shown(task, augment, ids)
        logits, features = net(x)
        return criterion(logits, features, targets, epoch), logits

    for epoch in task.epochs(net=net, criterion=criterion, **optimizers):
        task.train_epoch(partial(step, epoch))
        task.record(**criterion.measured())
    return net


def _shown(task: Task, augment: Augment | None, ids: Tensor) -> tuple[Tensor, Any]:
    """Inputs (B, ...) and targets of a batch: classes (B,), or what `augment` gives in their place."""
    x, y = task.augment(task.x[ids]), task.y[ids]
    if augment is None:
        return x, y
    shown = augment(x, y, task.generator("defense's augmentation"))
    return shown if isinstance(shown, tuple) else (shown, y)
