"""One epoch of the classifier over its members, for defenses with a loop of their own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from miabench import Task


def member_pass(task: Task, net: nn.Module, optimizer: Optimizer, loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Train on every member once; records the epoch's mean `loss` and `accuracy`.

    Args:
        task: the training.
        net: the classifier.
        optimizer: of the classifier.
        loss_of: (logits (B, C), targets (B,)) -> 0-dim loss.
    """
    net.train()
    total = torch.zeros((), device=task.device)
    correct = torch.zeros((), device=task.device)
    for ids in task.batches(task.ids["train"]):
        y = task.y[ids]  # (B,)
        logits = net(task.augment(task.x[ids]))[0]
        loss = loss_of(logits, y)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.detach() * len(ids)
        correct += (logits.detach().argmax(1) == y).sum()
    n = len(task.ids["train"])
    task.record(loss=total / n, accuracy=correct / n)
