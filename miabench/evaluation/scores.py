"""What is known of each record of a target once membership is looked up, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.evaluation.references import ReferenceCounts
from miabench.store.store import Ref, Store

Arrays: TypeAlias = dict[str, NDArray[Any]]

PARTS = ("", "_member", "_label", "_row")  # ends of the stored arrays' names; shadows have no rows


@dataclass(frozen=True)
class TargetValues:
    """One number per record of a target.

    Attributes:
        values: an attack's scores, or 1 where the record is classified correctly and 0 where not (N,), float64.
        members: (N,), bool.
        labels: true classes (N,).
        rows: of the pool (N,).
    """

    values: NDArray[np.float64]
    members: NDArray[np.bool_]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def save(self) -> Arrays:
        """The arrays that are stored."""
        each = (self.values, self.members, self.labels, self.rows)
        return {f"target{part}": array for part, array in zip(PARTS, each, strict=True)}

    @classmethod
    def load(cls, store: Store, ref: Ref) -> TargetValues:
        """Those of a stored artifact: of scores, or of metrics where they are accuracies.

        Raises:
            UserError: the artifact is damaged.
        """
        return cls.of(store.arrays(ref, *(f"target{part}" for part in PARTS)))

    @classmethod
    def of(cls, arrays: Arrays) -> TargetValues:
        """Those among the arrays that are stored."""
        return cls(*(arrays[f"target{part}"] for part in PARTS))


@dataclass(frozen=True)
class ShadowScores:
    """An attack's scores of one or several shadow models' records.

    Attributes:
        values: (N,), float64.
        members: (N,), bool.
        labels: true classes (N,).
    """

    values: NDArray[np.float64]
    members: NDArray[np.bool_]
    labels: NDArray[np.int64]

    @classmethod
    def of_all(cls, each: Sequence[ShadowScores]) -> ShadowScores:
        """Several shadow models' scores, one after another; empty where there are none."""
        return cls(
            np.concatenate([np.empty(0), *(one.values for one in each)]),
            np.concatenate([np.empty(0, bool), *(one.members for one in each)]),
            np.concatenate([np.empty(0, np.int64), *(one.labels for one in each)]),
        )


@dataclass(frozen=True)
class AttackScores:
    """What an attack gave.

    Attributes:
        target: the scores that it is judged by.
        shadows: the scores that thresholds are learnt on.
        state: what the attack learnt, by name.
        references: how many reference models records are compared with; None where the attack compares with none.
    """

    target: TargetValues
    shadows: ShadowScores
    state: Mapping[str, NDArray[Any]]
    references: ReferenceCounts | None = None

    def save(self) -> Arrays:
        """The arrays that are stored."""
        shadows = (self.shadows.values, self.shadows.members, self.shadows.labels)
        return {
            **{f"state.{name}": array for name, array in self.state.items()},
            **self.target.save(),
            **{f"shadows{part}": array for part, array in zip(PARTS, shadows, strict=False)},
            **({"references": np.array(self.references)} if self.references else {}),
        }

    @classmethod
    def load(cls, store: Store, ref: Ref) -> AttackScores:
        """The scores of a stored artifact.

        Raises:
            UserError: the artifact is damaged.
        """
        arrays = store.arrays(ref)
        shadows = ShadowScores(*(arrays[f"shadows{part}"] for part in PARTS[:3]))
        learnt = {name.removeprefix("state."): array for name, array in arrays.items() if name.startswith("state.")}
        counts = arrays.get("references")
        references = None if counts is None else ReferenceCounts._make(counts.tolist())
        return cls(TargetValues.of(arrays), shadows, learnt, references)
