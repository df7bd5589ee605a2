"""What one attack sees of each model, gathered from stored observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.data.pool import Data
from miabench.jobs.observe import ANSWERS
from miabench.jobs.specs import ModelView
from miabench.plugins.attack import AnswersName, Attack, Observed, Probe
from miabench.store.store import Ref, Store

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


def own_answers(probe: Probe, arrays: Arrays) -> Any:
    """A probe's answers among the arrays of an observation: its one array, or all by name. What `derive` gets."""
    if probe.base is not None:
        return arrays[probe.base]
    return arrays[ANSWERS] if arrays.keys() == {ANSWERS} else arrays


def named_answers(probe: Probe, arrays: Arrays) -> dict[AnswersName, NDArray[Any]]:
    """The same under the names by which attacks ask for them."""
    own = own_answers(probe, arrays)
    return {(probe, name): array for name, array in own.items()} if isinstance(own, Mapping) else {probe: own}


class Gatherer:
    """Puts together what one attack sees; every array is opened once, and only the rows that are asked for are read.

    Args:
        store: where observations are.
        data: the pool.
        attack: whose view it is.
        probes: the attack's, in the order of the views' observations.
    """

    def __init__(self, store: Store, data: Data, attack: Attack, probes: Sequence[Probe]) -> None:
        self.store = store
        self.data = data
        self.attack = attack
        self.probes = probes
        self._arrays: dict[str, tuple[NDArray[np.int64], Arrays]] = {}
        self._places: dict[str, NDArray[np.int64]] = {}

    def rows(self, view: ModelView) -> NDArray[np.int64]:
        """Pool rows of the members that are scored, then of the non-members."""
        if view.scored is not None:
            return self.store.ids(view.scored)
        return np.concatenate([self.store.ids(view.members), self.store.ids(view.non_members)])

    def observed(self, view: ModelView, others: Sequence[ModelView]) -> Observed:
        """One model's answers, membership known; with the other models' where the attack compares with references."""
        references = others if self.attack.references != "none" else ()
        rows = self.rows(view)
        seen = replace(self._about(rows, view, references), member=self._holds(view.members, rows))
        if view.population is None:
            return seen
        outside = self._about(self.store.ids(view.population), view, references)
        return replace(seen, population=replace(outside, member=np.zeros(len(outside), dtype=bool)))

    def _about(self, rows: NDArray[np.int64], view: ModelView, references: Sequence[ModelView]) -> Observed:
        """Answers about some rows, membership unknown."""
        seen = Observed(
            labels=self.data.y.numpy()[rows],
            member=None,
            num_classes=self.data.num_classes,
            answers=self._answers(view, rows),
            references={},
            inputs=self.data.x.numpy()[rows] if self.attack.inputs else None,
            copies={name: [self._copy(rows, copy) for copy in each] for name, each in view.copies.items()},
        )
        if not references:
            return seen
        answers = [self._answers(other, rows) for other in references]
        inside = np.stack([self._holds(other.members, rows) for other in references])
        withheld = np.stack([self._holds(other.withheld, rows) for other in references])
        return replace(
            seen,
            references={name: np.stack([each[name] for each in answers]) for name in seen.answers},
            reference_in=inside,
            reference_out=~inside & ~withheld,
        )

    def _copy(self, rows: NDArray[np.int64], copy: ModelView) -> Observed:
        """What one of the attacker's own models answers about some rows; it knows which it trained on."""
        return replace(self._about(rows, copy, ()), member=self._holds(copy.members, rows))

    def _holds(self, ids: str | None, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a list holds each of some rows."""
        return np.isin(rows, [] if ids is None else self.store.ids(ids))

    def _answers(self, view: ModelView, rows: NDArray[np.int64]) -> dict[AnswersName, NDArray[Any]]:
        found: dict[AnswersName, NDArray[Any]] = {}
        for probe, key in zip(self.probes, view.observations, strict=True):
            place, arrays = self._stored(key)
            at = place[rows]
            assert (at >= 0).all(), "rows that the probe was not asked about"
            found |= {name: array[at] for name, array in named_answers(probe, arrays).items()}
        return found

    def _stored(self, key: str) -> tuple[NDArray[np.int64], Arrays]:
        """Where the answers about each pool row are in an observation's arrays, and the arrays."""
        if key not in self._arrays:
            ref = Ref("observations", key)
            ids = self.store.manifest(ref).part
            self._arrays[key] = self._place(ids), self.store.arrays(ref, rows=len(self.store.ids(ids)), mapped=True)
        return self._arrays[key]

    def _place(self, ids: str) -> NDArray[np.int64]:
        """The place of each pool row in a list; -1 where it is not there."""
        if ids not in self._places:
            rows = self.store.ids(ids)
            self._places[ids] = np.full(len(self.data), -1)
            self._places[ids][rows] = np.arange(len(rows))
        return self._places[ids]
