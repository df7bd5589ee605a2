"""What a plugin is: the base classes of defenses, attacks, probes, datasets and models.

Built-ins and users' plugins are the same: one file, one public class, called after its file. Hyper-parameters
are pydantic fields, with the paper's symbol, meaning, bounds and default on one line. Plugins are frozen: what a
training or an attack learns lives in what its methods return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, Field, field_validator

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from miabench.criterion import Criterion
    from miabench.data import Data
    from miabench.network import Classifier
    from miabench.serving import RecordNoise
    from miabench.training import Task


State: TypeAlias = Mapping[str, Any]  # what an attack has learnt: arrays by name
Kind: TypeAlias = Literal["defense", "attack", "dataset", "model"]


class Plugin(BaseModel, frozen=True, extra="forbid"):
    """What all plugins share. Raise `version` when results change: what is stored is then computed anew."""

    version: ClassVar[int] = 1


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
    """

    tune: ClassVar[Mapping[str, Range]] = {}
    claim: ClassVar[Claim | None] = None

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

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """The loss of the shared training loop; not called where `fit` is overridden."""
        raise NotImplementedError(f"{type(self).__name__} overrides neither criterion nor fit")

    def fit(self, task: Task) -> nn.Module:
        """Train and return the network. The default is the shared loop with `criterion`."""
        from miabench.training import train_with_criterion

        return train_with_criterion(task, self.criterion)

    def serve(self, net: nn.Module, logits: Tensor, noise: RecordNoise) -> Tensor:
        """What the model's API answers instead of `logits` (N, C).

        Args:
            net: the network returned by `fit`; what serving needs sits in its modules and buffers.
            logits: the network's own answers.
            noise: random numbers that depend on the content of each record only, so that asking again
                gives the same answer.
        """
        return logits


class Probe(BaseModel, frozen=True, extra="forbid"):
    """One kind of question to a model, asked about many records at once and stored.

    Attributes:
        version: raise it when answers change.
        sees: `"served"` for what the model's API answers, `"network"` for the trained network itself
            (white-box).
        whole_pool: asked about every record of the pool (cheap probes), or only about the records that the
            model's own member and non-member parts hold.
    """

    version: ClassVar[int] = 1
    sees: ClassVar[Literal["served", "network"]] = "served"
    whole_pool: ClassVar[bool] = False

    def observe(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Answers (n, ...) for one batch of normalised inputs x (n, ...) with labels y (n,).

        `net(x)` gives `(logits, features)`, in eval mode. Gradients are off unless switched on here.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override observe")


class Logits(Probe, frozen=True):
    """The logits (C,) that the model's API answers; stored for the whole pool."""

    whole_pool: ClassVar[bool] = True

    def observe(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Logits (n, C), float32."""
        logits: Tensor = net(x)[0]
        return logits.float()


@dataclass(frozen=True)
class Observed:
    """What an attack sees of one model: answers on N records, and of K reference models on the same records.

    Attributes:
        labels: true classes (N,), int64.
        member: whether each record was a member (N,), bool; None where the attacker may not know.
        num_classes: C.
        answers: per probe the array (N, ...).
        references: per probe the references' arrays (K, N, ...); empty where the attack asks for none.
        reference_member: membership of the records in the references (K, N), bool; None without references.
    """

    labels: NDArray[np.int64]
    member: NDArray[np.bool_] | None
    num_classes: int
    answers: Mapping[Probe, NDArray[Any]]
    references: Mapping[Probe, NDArray[Any]]
    reference_member: NDArray[np.bool_] | None = None

    def __getitem__(self, probe: Probe) -> NDArray[Any]:
        """The answers to one probe (N, ...)."""
        return self.answers[probe]

    def __len__(self) -> int:
        """N, the number of records."""
        return len(self.labels)


class Attack(Plugin, frozen=True):
    """A membership inference attack: learns on shadow models, scores the target's records.

    Attributes:
        access: what the attacker sees of the target.
        references: which other models' answers on the same records the attack compares with.
    """

    access: ClassVar[Literal["label", "black-box", "white-box"]] = "black-box"
    references: ClassVar[Literal["none", "shadows", "out", "in+out"]] = "none"

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Why this attack cannot be run here (its results are then "n/a"), or None."""
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The questions the attack asks."""
        return (Logits(),)

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """What the attacker learns from shadow models with known membership: named arrays."""
        return {}

    def score(self, target: Observed, state: State) -> NDArray[np.float64]:
        """Scores (N,), float64, finite; larger means more likely a member. Row order carries nothing."""
        raise NotImplementedError(f"{type(self).__name__} does not override score")


class Dataset(Plugin, frozen=True):
    """Where the records come from. Fields are the user's arguments."""

    deduplicate: bool = Field(False, description="drop exact duplicates (same input), keeping the first")
    records: int | float | None = Field(
        None, description="use only this many records (8 or more), or this share (below 1), classes in proportion"
    )

    @field_validator("records")
    @classmethod
    def _count_or_share(cls, value: float | None) -> float | None:
        if value is None or 0 < value < 1:
            return value
        if value < 8 or not float(value).is_integer():
            raise ValueError("should be a whole number of 8 or more, or a share of the pool above 0 and below 1")
        return int(value)

    def load(self, root: Path) -> Data:
        """The pool: all records of the publisher's train and test parts together.

        Args:
            root: folder for downloads and decoded copies; may not exist yet.

        Raises:
            UserError: naming the file or row that is wrong.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override load")


@dataclass(frozen=True)
class Domain:
    """What a model must fit: the shape of one record, what it is made of, and the number of classes.

    Attributes:
        shape: of one record, for example (3, 32, 32), (446,), or (10, 40) for documents of sentences x words.
        num_classes: C.
        vocabulary: V where records are token ids, 0 to V-1 (0 is padding); None where they are numbers.
        embedding: the dataset's vector of each token (V, E), float32, or None. Two domains that differ in the
            vectors alone are equal, as tensors do not compare or hash.
    """

    shape: tuple[int, ...]
    num_classes: int
    vocabulary: int | None = None
    embedding: Tensor | None = field(default=None, compare=False, repr=False)


class Model(Plugin, frozen=True):
    """An architecture. Fields are its arguments."""

    def unsupported(self, domain: Domain) -> str | None:
        """Why this model cannot take such records, or None."""
        return None

    def build(self, domain: Domain) -> Classifier:
        """A freshly initialised network; initial weights come from torch's global generator, which is seeded."""
        raise NotImplementedError(f"{type(self).__name__} does not override build")


KINDS: Mapping[Kind, type[Plugin]] = {
    "defense": Defense,
    "attack": Attack,
    "dataset": Dataset,
    "model": Model,
}
