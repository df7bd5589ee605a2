"""Early stopping (a baseline of Fang and Kim, UAI 2024, Appendix A).

With stop_epoch: the network of CE's own training after that many epochs of the same schedule (the reference code cuts
the schedule there). A grid of stop epochs costs one training: each is a snapshot of it.
With patience: CE on what is left after withholding a validation part; training ends once the validation accuracy has
not risen for `patience` epochs, and the network of the best epoch is kept. The CRL paper does not give its stop epochs;
the defaults are ours.
"""

from __future__ import annotations

import copy
from typing import Annotated, ClassVar, Self

from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import EPOCHS, Defense, Epochs, Field, Range, Role, Task, Train


class EarlyStopping(Defense, frozen=True):
    """Ends training before the network has fitted its members closely."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"stop_epoch": Range(1, "epochs", log=True, unless="patience")}

    stop_epoch: Epochs = Field(10, ge=1, description="epochs of the schedule to train; not used with patience")
    patience: Annotated[int | None, EPOCHS] = Field(
        None, ge=1, description="epochs without a better validation accuracy; None: off"
    )
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="share of the training part withheld for patience")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        # Not `model_fields_set`: what is stored names every field, and must build again.
        if self.patience is not None and self.stop_epoch != type(self).model_fields["stop_epoch"].default:
            raise ValueError("give stop_epoch or patience, not both")
        return self

    def withhold(self) -> dict[str, float]:
        """A validation part, for patience."""
        return {} if self.patience is None else {"validation": self.validation_fraction}

    def requires(self, role: Role) -> dict[str, Train]:
        """CE's network at the stop epoch."""
        return {"net": Train("ce", epochs=self.stop_epoch)} if self.patience is None else {}

    def fit(self, task: Task) -> nn.Module:
        """The snapshot, or training with patience."""
        return task.given["net"] if self.patience is None else _train_with_patience(task, self.patience)


def _train_with_patience(task: Task, patience: int) -> nn.Module:
    net = task.net()
    best = copy.deepcopy(net)
    opt = task.optimizer(net)
    seen: dict[str, float] = {"epoch": 0, "accuracy": -1.0}  # the best epoch so far

    def step(ids: Tensor) -> tuple[Tensor, Tensor]:
        logits = net(task.augment(task.x[ids]))[0]
        return F.cross_entropy(logits, task.y[ids]), logits

    for epoch in task.epochs(net=net, best=best, opt=opt, seen=seen):
        if epoch > seen["epoch"] + patience:  # asked before training, so that the last epoch is recorded as any other
            break
        task.train_epoch(step, net, opt)
        accuracy = _accuracy(task, net, task.ids["validation"])
        task.record(validation_accuracy=accuracy)
        if accuracy > seen["accuracy"]:
            seen.update(epoch=epoch, accuracy=accuracy)
            best.load_state_dict(net.state_dict())
    return best


def _accuracy(task: Task, net: nn.Module, ids: Tensor) -> float:
    """A fraction, read from the device."""
    logits, _ = task.evaluate(net, task.x[ids])
    return float((logits.argmax(1) == task.y[ids]).sum() / len(ids))
