"""The loss of the shared training loop."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Criterion(nn.Module):
    """A loss `criterion(logits, features, targets, epoch) -> 0-dim tensor`.

    Parameters of its own (class centers, for example) are trained on the same loss by an SGD of their own, with
    the schedule's momentum and weight decay and the constant learning rate `lr`.
    """

    lr: float = 0.001  # of the criterion's own parameters, if it has any

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """The loss of one mini-batch: logits (B, C), features (B, D), targets (B,); epoch counts from 1."""
        raise NotImplementedError

    def measured(self) -> dict[str, Tensor]:
        """0-dim tensors measured since the last call, recorded once an epoch; none by default."""
        return {}


class LossCriterion(Criterion):
    """A loss that keeps nothing: `loss(logits, features, targets, epoch)`."""

    def __init__(self, loss: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """What the function gives."""
        return self.loss(logits, features, targets, epoch)
