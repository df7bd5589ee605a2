"""How an attacker copies a model: a network that learns to answer as the model does, by distillation.

    L = (1 - w) mean_B KL(softmax(original / tau) || softmax(z / tau)) + w mean_B CE(z, y)

over records that the model did not train on, with w = `label_weight` (Hinton et al. 2015, arXiv:1503.02531, without
their factor tau^2). With w = 0 true classes are not used. A share of the records can be withheld, so that the attacker
has records which its copy did not train on.
No defense: attacks ask for it in `requires` (`trajectory`, `l-leaks`), and as a cell of an experiment it is "n/a".
"""

from __future__ import annotations

from miabench.defenses._distillation import distillation_loss
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Data, Defense, Field, Model, Task


class CopyOfAModel(Defense, frozen=True):
    """Not for cells: the training of an attacker's copy of a model, from the model's answers."""

    tau: float = Field(1.0, gt=0, description="τ: temperature of the model's answers and the copy's")
    label_weight: float = Field(0.0, ge=0, le=1, description="w: share of the true classes in the loss")
    withheld_fraction: float = Field(0.0, ge=0, lt=1, description="share of the records that is not trained on")

    def unsupported(self, data: Data, model: Model) -> str | None:
        """A cell has no answers to copy."""
        return "it learns from another model's answers; attacks that copy models train with it"

    def withhold(self) -> dict[str, float]:
        """The records that the copy does not train on."""
        return {"withheld": self.withheld_fraction} if self.withheld_fraction else {}

    def fit(self, task: Task) -> nn.Module:
        """Distil the model's answers."""
        original = task.answers_of["original"]
        net = task.net()
        opt = task.optimizer(net)

        def step(ids: Tensor) -> Tensor:
            logits = net(task.augment(task.x[ids]))[0]
            distilled = distillation_loss(logits, original[ids], self.tau, "batch-mean")
            return (1 - self.label_weight) * distilled + self.label_weight * F.cross_entropy(logits, task.y[ids])

        for _ in task.epochs(net=net, opt=opt):
            task.train_epoch(step)
        return net
