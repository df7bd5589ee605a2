"""Which models an experiment trains, on which records, and which of them an attack learns from and compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from miabench.data.splits import Split, roles, split
from miabench.seeds import role_seed

ProtocolName: TypeAlias = Literal["disjoint", "tune"]


@dataclass(frozen=True)
class Target:
    """One target, and the models that its attackers train.

    Attributes:
        run: number of the repetition, from 0.
        role: of the target.
        shadows: roles of the models on which attacks learn and thresholds are calibrated.
    """

    run: int
    role: str
    shadows: tuple[str, ...]

    def references(self, role: str) -> tuple[str, ...]:
        """Whose answers a score of the target, or of a shadow, may be compared with: all shadows but itself."""
        return tuple(shadow for shadow in self.shadows if shadow != role)


@dataclass(frozen=True)
class Protocol:
    """The models of one experiment on a pool of n records.

    Attributes:
        name: `disjoint` for the paper's halves, `tune` for a trial's part of the shadow half.
        n: records in the pool.
        seed: the experiment's.
        runs: repetitions, on the same splits.
        shadows: for each target.
    """

    name: ProtocolName
    n: int
    seed: int
    runs: int
    shadows: int

    def targets(self) -> Sequence[Target]:
        """The targets, a run each."""
        target, *shadows = roles(self.shadows)
        return [Target(run, target, tuple(shadows)) for run in range(self.runs)]

    def split(self, role: str) -> Split:
        """The records of one model."""
        return split(self.n, self.seed, role, self.name)

    def role_seed(self, run: int, role: str) -> int:
        """The seed of one model's streams; tuning has its own: what it chooses must not suit the final models'."""
        return role_seed(self.seed, run, f"tune {role}" if self.name == "tune" else role)
