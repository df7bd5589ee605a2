"""What a defense is: how a classifier is trained, and served, so that it leaks less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, final

from miabench.plugins.base import Plugin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor, nn

    from miabench.data.pool import Data
    from miabench.plugins.model import Model
    from miabench.training.criterion import Criterion
    from miabench.training.serving import RecordNoise, Serve
    from miabench.training.task import Task


@dataclass(frozen=True)
class Range:
    """What `miabench tune` tries for a hyper-parameter: `Range(0.1, 4, log=True)`.

    Attributes:
        low: smallest value tried.
        high: largest; `"epochs"` stands for the schedule's.
        log: values are spread evenly over orders of magnitude.
        unless: a parameter that takes this one's place: where an experiment sets it, this one is left alone.
    """

    low: float
    high: float | Literal["epochs"]
    log: bool = False
    unless: str | None = None


class Claim(NamedTuple):
    """What every report says of a defense's trainings: `Claim("(ε, δ) = ({epsilon}, {delta})", "it covers ...")`.

    Attributes:
        values: names in braces stand for what `Task.record` kept in a target's last epoch.
        meaning: what the values say and what they do not, as a clause that stands after them.
    """

    values: str
    meaning: str


class Train:
    """A training that a defense starts from: stored, shared between cells, scheduled first.

    Trainings that differ only in `epochs` are one training, of which each is a snapshot.

    Args:
        defense: name of the defense to train under, for example `"ce"`.
        ids: `"train"` for what the role's training part holds after withholding, or a tensor of pool rows.
        epochs: take the network after this many epochs of the schedule; None means its last.
        schedule: keys of the schedule to replace for this training, for example `{"epochs": 200}`.
        **params: hyper-parameters of that defense.
    """

    def __init__(
        self,
        defense: str,
        *,
        ids: Literal["train"] | Tensor = "train",
        epochs: int | None = None,
        schedule: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        self.defense = defense
        self.ids = ids
        self.epochs = epochs
        self.schedule = schedule or {}
        self.params = params


@dataclass(frozen=True)
class Role:
    """One model to be trained, seen before training: whose records are in which part.

    Attributes:
        ids: pool rows of `"train"` and of every withheld part, CPU tensors of int64.
        seed: the role's own seed; `generator` derives streams from it.
    """

    ids: Mapping[str, Tensor]
    seed: int

    def generator(self, purpose: str) -> torch.Generator:
        """A CPU generator that depends on experiment seed, run, role and purpose only."""
        from miabench.seeds import generator

        return generator(self.seed, purpose)


class Defense(Plugin, frozen=True):
    """A way to train (or to serve) a classifier so that it leaks less about its training records.

    Attributes:
        tune: ranges of the hyper-parameters that `miabench tune` chooses, by name.
        claim: what reports must say of its trainings beside the results, if anything.
        baseline: whether it is training without a defense, with which all others are compared; one built-in alone is.
        capturable: a GPU may record one step of an epoch and replay it, if the model is capturable too, see `Model`.
            Its loss, `augment` and the steps that it gives to `task.train_epoch` must do the same operations on every
            batch of a size in an epoch: no choice by values (`torch.where` is none), no chance but `task.generator`'s,
            nothing kept but in tensors that are changed in place.
    """

    tune: ClassVar[Mapping[str, Range]] = {}
    claim: ClassVar[Claim | None] = None
    baseline: ClassVar[bool] = False
    capturable: ClassVar[bool] = False

    def unsupported(self, data: Data, model: Model) -> str | None:
        """Why this defense cannot be used on this data and model (the cell is then "n/a"), or None."""
        return None

    def advice(self, data: Data, model: Model) -> Sequence[str]:
        """Warnings about these hyper-parameters on this data, shown before training and in reports."""
        return ()

    def withhold(self) -> dict[str, float]:
        """Shares of the training part kept from training, by name: `{"reference": 0.5}`."""
        return {}

    def requires(self, role: Role) -> dict[str, Train]:
        """Trainings to start from; their networks are in `task.given` under the same names."""
        return {}

    def architecture(self, net: nn.Module) -> nn.Module:
        """The network with layers changed or added; also called when weights are loaded."""
        return net

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """The loss of one mini-batch in the shared training loop, 0-dim: the smallest hook.

        Args:
            logits: (B, C).
            features: (B, D).
            targets: true classes (B,), or what `augment` gives in their place.
            epoch: counts from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} overrides none of loss, criterion and fit")

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The same as a module, for a loss with parameters or counters; not called where `fit` is overridden."""
        from miabench.training.criterion import LossCriterion

        return LossCriterion(self.loss)

    def augment(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor | tuple[Tensor, Any]:
        """What the network is shown of one mini-batch while it is trained; not called where `fit` is overridden.

        Args:
            x: normalised inputs (B, ...), a copy, after the data set's own augmentation.
            y: true classes (B,).
            generator: the only source of chance, a stream of this hook's own on x's device.

        Returns:
            Inputs (B, ...), or (inputs, targets): what the defense's own loss gets as `targets` in place of classes.
            So a defense that mixes records, as mixup does, tells its loss how: plugins keep nothing, and nothing else
            leads from here to there.
        """
        return x

    def fit(self, task: Task) -> nn.Module:
        """Train and return the network. The default is the shared loop with `criterion` and `augment`."""
        from miabench.training.loop import train_with_criterion

        return train_with_criterion(task, self.criterion, self.augment)

    def serve(self, net: nn.Module, logits: Tensor, noise: RecordNoise) -> Tensor:
        """What the model's API answers instead of `logits` (N, C).

        Args:
            net: the network returned by `fit`; what serving needs sits in its modules and buffers.
            logits: the network's own answers.
            noise: random numbers that depend on the content of each record only, so that asking again
                gives the same answer.
        """
        return logits

    @classmethod
    @final
    def is_baseline(cls) -> bool:
        """Whether this class itself says that it is the baseline; a defense that is made from it is none."""
        return bool(vars(cls).get("baseline"))

    @final
    def server(self) -> Serve | None:
        """`serve` where a class overrides it; None where the network's own logits are answered."""
        return None if type(self).serve is Defense.serve else self.serve

    @final
    @classmethod
    def oversight(cls) -> str | None:
        """Why this class would not be trained with as its author means it, or None; told while planning."""
        loss, criterion, fit = (_home(cls, name) for name in ("loss", "criterion", "fit"))
        if loss is criterion is fit is Defense:
            return "it has nothing to train with: give it a loss, a criterion or a fit of its own"
        if loss is not Defense and criterion is not Defense and issubclass(loss, criterion):
            return "it has a loss and a criterion, and only the latter would be used: give it one of both"
        return None


def _home(cls: type[Defense], name: str) -> type[Defense]:
    """The class whose method a defense inherits or has."""
    return next(base for base in cls.__mro__ if name in vars(base))
