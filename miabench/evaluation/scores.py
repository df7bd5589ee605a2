"""What is known of each record of a target once membership is looked up, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.evaluation.references import ReferenceCounts
from miabench.store.store import ARRAYS, Ref, Store

Arrays: TypeAlias = dict[str, NDArray[Any]]

PARTS = ("", "_member", "_label", "_row")  # ends of the stored arrays' names; shadows have no rows
KINDS = ("f", "b", "i", "i")  # of their numbers, as NumPy calls them


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
        return cls.of(store.arrays(ref, *(f"target{part}" for part in PARTS)), store, ref)

    @classmethod
    def of(cls, arrays: Arrays, store: Store, ref: Ref) -> TargetValues:
        """Those among the arrays of a stored artifact.

        Raises:
            UserError: they cannot be what was written.
        """
        one = cls(*_records(arrays, "target", PARTS, store, ref))
        if len(np.unique(one.rows)) < len(one.rows) or one.members.all() or not one.members.any():
            raise store.damaged(ref, ARRAYS, "its target has a record twice, or lacks members or non-members")
        if ref.kind == "metrics" and not np.isin(one.values, (0, 1)).all():
            raise store.damaged(ref, ARRAYS, "a record is neither classified correctly nor wrongly")
        return one


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
        shadows = ShadowScores(*_records(arrays, "shadows", PARTS[:3], store, ref))
        learnt = {name.removeprefix("state."): array for name, array in arrays.items() if name.startswith("state.")}
        counts = arrays.get("references")
        references = None if counts is None else _counts(counts, store, ref)
        return cls(TargetValues.of(arrays, store, ref), shadows, learnt, references)


def _records(arrays: Arrays, whose: str, parts: Sequence[str], store: Store, ref: Ref) -> list[NDArray[Any]]:
    """What is known of records, an array for each part; a file whose checksum fits may still be a stranger's."""
    each = [arrays.get(f"{whose}{part}", np.empty((0, 0))) for part in parts]
    forms = [(one.dtype.kind, one.shape) for one in each]
    if forms != [(kind, each[0].shape[:1]) for kind in KINDS[: len(parts)]]:
        raise store.damaged(ref, ARRAYS, f"its arrays of {whose} are not of one length, or not of numbers")
    if not np.isfinite(each[0]).all() or any((one < 0).any() for one in each[2:]):
        raise store.damaged(ref, ARRAYS, f"a number of {whose} is not finite, or a class or row is negative")
    return each


def _counts(counts: NDArray[Any], store: Store, ref: Ref) -> ReferenceCounts:
    if counts.dtype.kind != "f" or counts.shape != (len(ReferenceCounts._fields),):
        raise store.damaged(ref, ARRAYS, "its counts of references are none")
    return ReferenceCounts._make(counts.tolist())
