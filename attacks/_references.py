"""What reference models answer on each record: those that trained on it (IN) apart from those that did not (OUT).

A record that a reference withheld is in neither kind. Sums over references run over sorted values and sums over records
are exact, so that no score depends on the order of either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from miabench import Attack, Field, Observed, Probe, References, UserError

Array = NDArray[np.float64]


class Kind(NamedTuple):
    """The answers of one kind of references, IN or OUT.

    Attributes:
        number: how many references of the kind each record has (N,).
        mean: of their answers (N,); that of all answers where a record has no reference of the kind.
        squares: their summed squared deviations from it (N,); 0 where there is one or none.
        spread: standard deviation of all answers about their common mean.
    """

    number: NDArray[np.int64]
    mean: Array
    squares: Array
    spread: float


class ReferenceAttack(Attack, frozen=True):
    """An attack that compares a record's answer with those of references that did not train on it (OUT)."""

    references: ClassVar[References] = "out"
    population: ClassVar[bool | Literal["needed"]] = True

    def online(self, observed: Observed) -> bool:
        """Whether it also compares with references that trained on the record (IN)."""
        return False


class OnlineAttack(ReferenceAttack, frozen=True):
    """An attack with an online form (IN and OUT references) and an offline one (OUT alone)."""

    mode: Literal["auto", "online", "offline"] = Field(
        "auto", description="online: IN and OUT references; offline: OUT only; auto: online where the protocol has both"
    )

    @property
    def references(self) -> References:  # type: ignore[override]
        """The references to ask for."""
        asked: Mapping[str, References] = {"auto": "any", "online": "in+out"}
        return asked.get(self.mode, "out")

    def online(self, observed: Observed) -> bool:
        """Whether it compares with IN references: asked for, or there."""
        return self.mode == "online" or (self.mode == "auto" and bool(in_of(observed).any()))


def answers_of(observed: Observed, probe: Probe) -> Array:
    """The references' answers (K, N).

    Raises:
        UserError: there are none.
    """
    return np.asarray(_some(observed.references.get(probe)), dtype=np.float64)


def in_of(observed: Observed) -> NDArray[np.bool_]:
    """Which references trained on which record (K, N); fails as `answers_of`."""
    return _some(observed.reference_in)


def out_of(observed: Observed) -> NDArray[np.bool_]:
    """Which references neither trained on a record nor withheld it (K, N); fails as `answers_of`."""
    return _some(observed.reference_out)


def _some(of_references: NDArray[Any] | None) -> NDArray[Any]:
    if of_references is None or len(of_references) == 0:
        raise UserError("this attack compares a model with reference models, but it was given none")
    return of_references


def of_kind(
    observed: Observed,
    probe: Probe,
    kind: Literal["in", "out"],
    of: Callable[[Array], Array] = lambda answers: answers,
) -> Kind:
    """The references' answers of one kind, record by record.

    What stands in for a missing kind is taken from the population where the answers to it are known (they are all
    OUT), else from all records.

    Args:
        observed: the records.
        probe: what the references were asked.
        kind: which of them.
        of: what to take of each answer.

    Raises:
        UserError: no record has a reference of the kind.
    """
    mask = in_of(observed) if kind == "in" else out_of(observed)
    count, mean, squares = moments(of(answers_of(observed, probe)), mask)
    everyone = count, mean, squares
    population = observed.population
    if kind == "out" and population and population.references:
        everyone = moments(of(answers_of(population, probe)), out_of(population))
    if not everyone[0].any():
        did = "trained on" if kind == "in" else "did not train on"
        raise UserError(f"this attack compares with reference models that {did} a record, but none {did} any of them")
    middle, spread = _together(*everyone)
    return Kind(count, np.where(count > 0, mean, middle), squares, spread)


def moments(values: Array, mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array, Array]:
    """Count, mean and summed squared deviations of each column's values under a mask, all (N,), 0 where none is."""
    count: NDArray[np.int64] = mask.sum(0)
    kept = np.sort(np.where(mask, values, np.inf), axis=0)
    there = np.arange(len(kept))[:, None] < count
    mean: Array = np.where(there, kept, 0.0).sum(0) / np.maximum(count, 1)
    squares: Array = (np.where(there, kept - mean, 0.0) ** 2).sum(0)
    return count, mean, squares


def _together(count: NDArray[np.int64], mean: Array, squares: Array) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0) of all columns' values."""
    n = int(count.sum())
    middle = math.fsum(count * mean) / n
    return middle, math.sqrt((math.fsum(squares) + math.fsum(count * (mean - middle) ** 2)) / n)
