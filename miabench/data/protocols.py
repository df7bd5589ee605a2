"""Which models an experiment trains, on which records, and which of them an attack learns from and compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeAlias

import numpy as np

from miabench.data.splits import Ids, Split, roles, split
from miabench.errors import UserError
from miabench.seeds import derive, role_seed

ProtocolName: TypeAlias = Literal["disjoint", "tune", "pool"]
FEWEST_PAIRED = 8  # records in pairs: each model of a pair needs some to train on and some to be tested on


@dataclass(frozen=True)
class Target:
    """One target, and the models that its attackers use.

    Attributes:
        run: number of the repetition, from 0.
        role: of the target.
        shadows: roles of the models on which attacks learn and thresholds are calibrated.
        references: roles of the models whose answers scores are compared with.
    """

    run: int
    role: str
    shadows: tuple[str, ...]
    references: tuple[str, ...]


class Models(Protocol):
    """The models of one experiment on a pool of n records."""

    @property
    def name(self) -> ProtocolName:
        """What an experiment calls it."""

    def targets(self) -> Sequence[Target]:
        """The targets, a run each."""

    def split(self, role: str) -> Split:
        """The records of one model."""

    def role_seed(self, run: int, role: str) -> int:
        """The seed of one model's streams."""

    def pair(self, role: str) -> int | None:
        """The pair that a model belongs to: its models and the target's are never references; None without pairs."""

    def outside(self, role: str) -> Ids | None:
        """What an attacker knows to be outside a model's training and test part; None where there is nothing."""


@dataclass(frozen=True)
class Halves:
    """The paper's protocol: target half and shadow half share no record.

    Attributes:
        n: records in the pool.
        seed: the experiment's.
        runs: repetitions, on the same splits.
        shadows: for each target.
    """

    n: int
    seed: int
    runs: int
    shadows: int
    name: Literal["disjoint"] = "disjoint"

    def targets(self) -> Sequence[Target]:
        """One target in every run; its shadows are its references too."""
        target, *shadows = roles(self.shadows)
        return [Target(run, target, tuple(shadows), tuple(shadows)) for run in range(self.runs)]

    def split(self, role: str) -> Split:
        """The records of one model."""
        return split(self.n, self.seed, role)

    def role_seed(self, run: int, role: str) -> int:
        """The seed of one model's streams."""
        return role_seed(self.seed, run, role)

    def pair(self, role: str) -> int | None:
        """There are no pairs."""
        return None

    def outside(self, role: str) -> Ids | None:
        """The other half."""
        own = self.split(role)
        return np.setdiff1d(np.arange(self.n), np.concatenate([own.train, own.test]))


@dataclass(frozen=True)
class Pool:
    """N models in N/2 complementary pairs, each the target once (what LiRA and RMIA need).

    A share of the records, the population, is drawn first and is in no pair: attackers know it to be outside. Of the
    rest every pair gives each record to one of its two models, by a fair coin of the pair's own stream: more pairs
    change no model. A target's references are all models but its own pair, so that every record is IN as many of them
    as OUT, whatever its membership: without the other model of the pair, the counts would tell.

    A trial of tuning is a small one on the shadow half. Its streams are its own: what tuning chooses must not suit the
    final models.

    Attributes:
        rows: the records that take part, as rows of the dataset's pool: all, or a trial's half.
        seed: the experiment's.
        models: N, even.
        shadows: models on which attacks learn: the pairs that follow the target's, cyclically; even.
        population: share of the records that are in no pair.
        name: `pool`, or `tune` for a trial.
    """

    rows: Ids
    seed: int
    models: int
    shadows: int
    population: float
    name: Literal["pool", "tune"] = "pool"

    def targets(self) -> Sequence[Target]:
        """Every model, its number as the run."""
        return [self._target(model) for model in range(self.models)]

    def _target(self, model: int) -> Target:
        after = [2 * (model // 2) + 2 + i for i in range(self.models - 2)]
        others = [f"model-{number % self.models}" for number in after]
        return Target(model, f"model-{model}", tuple(others[: self.shadows]), tuple(others))

    def split(self, role: str) -> Split:
        """The records of one model: its pair's coins decide."""
        paired = self._paired
        number = int(role.removeprefix("model-"))
        coins = np.random.default_rng(self._stream(f"pair-{number // 2}")).integers(0, 2, len(paired))
        inside = coins == number % 2
        withholding = derive(self.role_seed(0, role), "withheld") % 2**32
        return Split(paired[inside], paired[~inside], withholding)

    def role_seed(self, run: int, role: str) -> int:
        """The seed of one model's streams, whatever its number among the targets."""
        return role_seed(self.seed, 0, self._own(role))

    def pair(self, role: str) -> int | None:
        """Models 2p and 2p + 1 are pair p."""
        return int(role.removeprefix("model-")) // 2

    def outside(self, role: str) -> Ids | None:
        """The population."""
        return self._drawn if len(self._drawn) else None

    @cached_property
    def _paired(self) -> Ids:
        """The rows that are in pairs, ascending."""
        paired = np.setdiff1d(self.rows, self._drawn)
        if len(paired) < FEWEST_PAIRED:
            raise UserError(
                f"{len(paired)} of the {len(self.rows)} records are left for pairs of models, which need "
                f"{FEWEST_PAIRED}; use more records, or a population below {self.population:g}"
            )
        return paired

    @cached_property
    def _drawn(self) -> Ids:
        """The rows that are in no pair, ascending."""
        order = np.random.default_rng(self._stream("population")).permutation(len(self.rows))
        return np.sort(self.rows[order[: round(self.population * len(self.rows))]])

    def _stream(self, name: str) -> int:
        return derive(self.seed, self._own(name))

    def _own(self, name: str) -> str:
        return f"tune {name}" if self.name == "tune" else name
