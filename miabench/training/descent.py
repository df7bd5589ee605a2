"""One pass of gradient descent over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from miabench.training.replay import Replay

Step: TypeAlias = Callable[[Any], Tensor | tuple[Tensor, Tensor]]  # from a batch to its loss, or to (loss, logits)


def descend(
    step: Step, batches: Iterable[Any], optimizers: Sequence[Optimizer], y: Tensor, replay: Replay | None = None
) -> dict[str, Tensor]:
    """On every batch, a step of the optimizers down the gradient of its loss; nothing waits for the device.

    Args:
        step: from a batch to its loss, 0-dim; or to (loss, logits (B, C)), where batches are pool rows.
        batches: tensors of rows (B,), or whatever `step` takes; one weighs as much as its `len` in the means.
        optimizers: whose gradients are set to nothing, and that step.
        y: classes of the pool (N,), on the device.
        replay: what takes the steps where they may be recorded.

    Returns:
        The mean `loss`, 0-dim; and `accuracy` where there are logits: the share whose own class has the largest.
    """
    total = torch.zeros((), device=y.device)
    correct = torch.zeros((), device=y.device)
    seen, with_logits = 0, False

    def take(batch: Any) -> None:
        nonlocal with_logits
        found = step(batch)
        with_logits = isinstance(found, tuple)
        loss = found[0] if isinstance(found, tuple) else found
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        for optimizer in optimizers:
            optimizer.step()
        total.add_(loss.detach() * len(batch))
        if isinstance(found, tuple):
            correct.add_((found[1].detach().argmax(1) == y[batch]).sum())

    def counted() -> Iterator[Any]:
        nonlocal seen
        for batch in batches:
            seen += len(batch)
            yield batch

    if replay:
        replay.each(take, counted())
    else:
        for batch in counted():
            take(batch)
    return {"loss": total / seen, **({"accuracy": correct / seen} if with_logits else {})}
