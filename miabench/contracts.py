"""What a plugin is: the base classes of defenses, attacks, probes, datasets and models.

Built-ins and users' plugins are the same: one file, one public class, called after its file. Hyper-parameters
are pydantic fields, with the paper's symbol, meaning, bounds and default on one line. Plugins are frozen: what a
training or an attack learns lives in what its methods return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeAlias

from pydantic import BaseModel, Field, field_validator, model_validator

from miabench.hashed import LATER

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


Asked: TypeAlias = "Tensor | Mapping[str, Tensor]"  # answers about n records (n, ...), or several arrays by name
State: TypeAlias = Mapping[str, Any]  # what an attack has learnt: arrays by name
Kind: TypeAlias = Literal["defense", "attack", "dataset", "model"]


class Plugin(BaseModel, frozen=True, extra="forbid"):
    """What all plugins share. Raise `version` when results change: what is stored is then computed anew.

    A field that is added when results are stored already, and changes none while it has its default, is marked:
    `steps: Annotated[int, LATER] = 1`. What is stored is then found again.
    """

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
    """One kind of question to a model, asked about many records and stored.

    A probe overrides `observe`, or names its parent as `of` and overrides `derive`. An answer about a record must
    depend on that record alone: what else stands in a batch, and in which order, says nothing. For each batch there
    is a new instance.

    Attributes:
        version: raise it when answers change.
        sees: what `ask` is: `"label"`: `ask(x)` gives the classes (n,) that the model's API answers; `"served"`:
            `ask(x)` gives `(logits, None)`, the logits (n, C) that it answers; `"network"`: the trained network
            itself in eval mode, `ask(x)` gives `(logits, features)` (white-box).
        whole_pool: asked about every record of the pool (cheap probes), or only about the records that the
            model's own member and non-member parts hold.
        base: name of an array of the engine's own observation of every network, for which this probe stands.
        records: ask about at most so many members and as many non-members, drawn by a hash of their content, and
            score those alone (dear probes); None: about all.
        stored_as: of a built-in probe: module and class under which its answers are stored, wherever it is now.
    """

    version: ClassVar[int] = 1
    sees: ClassVar[Literal["label", "served", "network"]] = "served"
    whole_pool: ClassVar[bool] = False
    base: ClassVar[str | None] = None
    stored_as: ClassVar[tuple[str, str] | None] = None

    records: Annotated[int | None, LATER] = Field(
        None, ge=1, description="ask about so many members and as many non-members; all by default"
    )

    @classmethod
    def place(cls) -> tuple[str, str]:
        """Module and class, as keys have them; neither a subclass nor a user's probe takes a built-in one's."""
        fixed = cls.__dict__.get("stored_as") if cls.__module__.startswith("miabench.") else None
        return fixed or (cls.__module__, cls.__qualname__)

    @model_validator(mode="after")
    def _not_limited(self) -> Self:
        if self.records is not None and (self.whole_pool or self.of is not None):
            raise ValueError("records limits a probe that asks about a model's own parts, not the whole pool or others")
        return self

    @property
    def of(self) -> Probe | None:
        """The probe from whose stored answers this one is computed, without the network; None: it asks itself."""
        return None

    @property
    def root(self) -> Probe:
        """The probe that is really asked: itself, or where the answers that it is computed from begin."""
        return self if self.of is None else self.of.root

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Asked:
        """Answers about one batch.

        Args:
            ask: the model, as far as the probe sees it; may be asked about anything shaped like x, any number of times.
            x: normalised inputs (n, ...), a copy.
            y: true classes (n,).
            noise: random numbers that depend on the content of each record only; there is no other source.

        Returns:
            Answers (n, ...), or several arrays of them by name. Gradients are off unless switched on here.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override observe")

    def derive(self, answers: Any, y: NDArray[np.int64]) -> NDArray[Any]:
        """Answers (N, ...) computed from those of `of`.

        Args:
            answers: of the other probe (N, ...); its arrays by name, where it answers several.
            y: true classes (N,).
        """
        raise NotImplementedError(f"{type(self).__name__} does not override derive")


class Logits(Probe, frozen=True):
    """The logits (C,) that the model's API answers, float32; stored of every network for the whole pool."""

    whole_pool: ClassVar[bool] = True
    base: ClassVar[str | None] = "answers"
    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.contracts", "Logits")


AnswersName: TypeAlias = Probe | tuple[Probe, str]  # a probe; where it answers several arrays, with the array's name


@dataclass(frozen=True)
class Observed:
    """What an attack sees of one model: answers on N records, and of K reference models on the same records.

    Answers are found under their probe, `observed[probe]`; those of a probe with several arrays under the array's
    name too, `observed[probe, "name"]`. In `references` likewise.

    Attributes:
        labels: true classes (N,), int64.
        member: whether each record was a member (N,), bool; None where the attacker may not know.
        num_classes: C.
        answers: per probe the array (N, ...).
        references: per probe the references' arrays (K, N, ...); empty where the attack asks for none.
        reference_in: whether the records were members of the references (K, N), bool; None without references.
        reference_out: whether they were outside the references' training parts (K, N), bool. A record that a
            defense withheld from a reference is neither in nor out of it.
        population: the same of records known to be outside the model's training, none of which is scored; None
            where the attack asks for none or the protocol has none.
        inputs: the records' raw inputs (N, ...), not normalised; None where the attack does not ask for them.
    """

    labels: NDArray[np.int64]
    member: NDArray[np.bool_] | None
    num_classes: int
    answers: Mapping[AnswersName, NDArray[Any]]
    references: Mapping[AnswersName, NDArray[Any]]
    reference_in: NDArray[np.bool_] | None = None
    reference_out: NDArray[np.bool_] | None = None
    population: Observed | None = None
    inputs: NDArray[Any] | None = None

    def __getitem__(self, name: AnswersName) -> NDArray[Any]:
        """The answers to one probe (N, ...)."""
        return self.answers[name]

    def __len__(self) -> int:
        """N, the number of records."""
        return len(self.labels)

    def at(self, rows: NDArray[np.int64]) -> Observed:
        """The same of some records, in the given order; the population stays as it is."""
        return replace(
            self,
            labels=self.labels[rows],
            member=None if self.member is None else self.member[rows],
            answers={name: answers[rows] for name, answers in self.answers.items()},
            references={name: answers[:, rows] for name, answers in self.references.items()},
            reference_in=None if self.reference_in is None else self.reference_in[:, rows],
            reference_out=None if self.reference_out is None else self.reference_out[:, rows],
            inputs=None if self.inputs is None else self.inputs[rows],
        )


class Attack(Plugin, frozen=True):
    """A membership inference attack: learns on shadow models, scores the target's records.

    Attributes:
        access: what the attacker sees of the target; no probe may see more.
        references: which other models' answers on the same records the attack compares with; `"any"`: of models
            trained with and without each record where the protocol has both, else of those without.
        population: whether the attack looks at records known to be outside a model's training, where there are any.
        inputs: whether it looks at the records' raw inputs.
    """

    access: ClassVar[Literal["label", "black-box", "white-box"]] = "black-box"
    references: ClassVar[Literal["none", "shadows", "out", "in+out", "any"]] = "none"
    population: ClassVar[bool] = False
    inputs: ClassVar[bool] = False

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
