"""What an attack is, what it asks models (probes), and what it sees of them (Observed)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, model_validator

from miabench.plugins.base import Plugin
from miabench.store.hashed import LATER

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from miabench.data.pool import Data
    from miabench.plugins.model import Model
    from miabench.training.serving import RecordNoise


Asked: TypeAlias = "Tensor | Mapping[str, Tensor]"  # answers about n records (n, ...), or several arrays by name
State: TypeAlias = Mapping[str, Any]  # what an attack has learnt: arrays by name
Scores: TypeAlias = "NDArray[np.float64]"  # of N records (N,), finite; larger means more likely a member
Access: TypeAlias = Literal["label", "black-box", "white-box"]  # see `Attack.access`
References: TypeAlias = Literal["none", "shadows", "out", "in+out", "any"]  # see `Attack.references`


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


class Copy:
    """A model that an attacker trains itself from what a model answers: once for the target, once for every shadow.

    It is trained on records known to be outside the model's training (its population), as a network like the model's
    and from weights of its own. The logits that the model serves are `task.answers_of["original"]` (N, C), those of
    the whole pool. A shadow's copy learns from that shadow's answers, which know nothing of the target's membership,
    though its records may be the target's (protocol disjoint).

    Args:
        defense: name of the defense that trains it, for example `"copy"`; what that withholds is left out.
        epochs: take the network after each of these epochs, snapshots of one training; none means the last.
        schedule: keys of the experiment's schedule to replace, for example `{"epochs": 100}`.
        **params: hyper-parameters of that defense.
    """

    def __init__(
        self,
        defense: str,
        *,
        epochs: Sequence[int] = (),
        schedule: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        self.defense = defense
        self.epochs = tuple(epochs)
        self.schedule = schedule or {}
        self.params = params


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
        copies: of each name in `requires`, what the attacker's own models answer to the same records: one for each
            epoch, in that order. Their `member` is known: what the copy itself was trained on, which no scored record
            is.
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
    copies: Mapping[str, Sequence[Observed]] = field(default_factory=dict)

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
            copies={name: [copy.at(rows) for copy in each] for name, each in self.copies.items()},
        )


class Attack(Plugin, frozen=True):
    """A membership inference attack: learns on shadow models, scores the target's records.

    Attributes:
        access: what the attacker sees of the target; no probe may see more.
        references: which other models' answers on the same records the attack compares with; `"any"`: of models
            trained with and without each record where the protocol has both, else of those without.
        population: whether the attack looks at records known to be outside a model's training, where there are any;
            `"needed"`: its results are "n/a" where there are none.
        inputs: whether it looks at the records' raw inputs.
    """

    access: ClassVar[Access] = "black-box"
    references: ClassVar[References] = "none"
    population: ClassVar[bool | Literal["needed"]] = False
    inputs: ClassVar[bool] = False

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Why this attack cannot be run here (its results are then "n/a"), or None."""
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The questions the attack asks."""
        return (Logits(),)

    def requires(self) -> Mapping[str, Copy]:
        """Models that the attacker trains itself; what they answer to the same probes is in `Observed.copies`."""
        return {}

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """What the attacker learns from shadow models with known membership: named arrays."""
        return {}

    def score(self, target: Observed, state: State) -> Scores:
        """Scores (N,), float64, finite; larger means more likely a member. Row order carries nothing."""
        raise NotImplementedError(f"{type(self).__name__} does not override score")
