"""The graph of jobs: one for each thing that is to be stored, under its key, after all that it needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch

from miabench.data.pool import Data
from miabench.data.splits import Ids, Split
from miabench.jobs.cells import DataAndModel
from miabench.jobs.configured import Configured
from miabench.jobs.specs import (
    AttackSpec,
    DerivedSpec,
    Job,
    MeasureSpec,
    ObservationSpec,
    Part,
    TrainingSpec,
)
from miabench.plugins.discover import PluginFile
from miabench.store.store import Artifact, Ref, Store

T = TypeVar("T")
AfterTraining: TypeAlias = ObservationSpec | DerivedSpec | AttackSpec | MeasureSpec
KINDS: Mapping[type[AfterTraining], tuple[Literal["observe", "attack", "measure"], Artifact]] = {
    ObservationSpec: ("observe", "observations"),
    DerivedSpec: ("observe", "observations"),
    AttackSpec: ("attack", "scores"),
    MeasureSpec: ("measure", "metrics"),
}


class Work(NamedTuple):
    """What a job does, in words; the plugin files whose code it runs; how much work it is."""

    what: str
    plugins: tuple[PluginFile, ...]
    weight: float = 100


class Listed(NamedTuple):
    """The records of a split as specs name them: the training part and what is withheld of it, and the test part."""

    parts: Mapping[str, Part]
    test: str


class Graph:
    """Jobs by key; what several cells need is there once, and lists of records are cut, hashed and read once.

    Args:
        configured: the experiment.
        store: keeps the lists of records that specs name.
    """

    def __init__(self, configured: Configured, store: Store) -> None:
        self.configured = configured
        self.store = store
        self.jobs: dict[str, Job] = {}
        self._known: dict[tuple[Hashable, ...], Any] = {}
        self._listed: WeakKeyDictionary[Split, dict[tuple[Hashable, ...], Listed]] = WeakKeyDictionary()
        self._sizes: dict[str, int] = {}

    def once(self, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """What a call gives, made where the key is new; keys begin with what kind of thing is made."""
        if key not in self._known:
            self._known[key] = make()
        return cast(T, self._known[key])

    def put(self, rows: Ids) -> str:
        """The name of a list of records, which is kept in the store."""
        name = self.store.put_ids(rows)
        self._sizes[name] = len(rows)
        return name

    def size(self, *lists: str) -> int:
        """How many records some lists hold that were put here."""
        return sum(self._sizes[name] for name in lists)

    def joined(self, lists: Sequence[str]) -> Ids:
        """The rows of several stored lists, one after the other."""
        return np.concatenate([np.empty(0, np.int64), *(self.store.ids(ids) for ids in lists)])

    def part(self, data: Data, rows: Ids) -> Part:
        """Some records in order, as specs name them."""
        ids = self.put(rows)
        content = self.once(("content", data.identity, ids), lambda: data.fingerprint(torch.from_numpy(rows)))
        return Part(ids=ids, content=content)

    def pool(self, data: Data) -> Part:
        """All records."""
        return self.once(("pool", data.identity), lambda: self.part(data, np.arange(len(data))))

    def split(self, site: DataAndModel, role: str) -> Split:
        """The records of one role, the same object each time."""
        return self.once(("split", site.dataset, role), lambda: site.protocol.split(role))

    def listed(self, data: Data, split: Split, shares: Mapping[str, float]) -> Listed:
        """The records of a split after some shares are withheld."""
        known = self._listed.setdefault(split, {})
        key = (data.identity, *shares.items())
        if key not in known:
            parts = {name: self.part(data, rows) for name, rows in split.withhold(shares).items()}
            known[key] = Listed(parts, self.put(split.test))
        return known[key]

    def outside(self, site: DataAndModel, role: str) -> str | None:
        """What an attacker knows to be outside a model's training and test part; None where there is nothing."""

        def put() -> str | None:
            rows = site.protocol.outside(role)
            return None if rows is None else self.put(rows)

        return self.once(("outside", site.dataset, role), put)

    def add(self, site: DataAndModel, spec: AfterTraining, needs: Sequence[Ref], work: Work) -> Ref:
        """The artifact of a spec, whose job is added where it is new."""
        kind, gives = KINDS[type(spec)]
        ref = Ref(gives, spec.key)
        if ref.key not in self.jobs:
            self.jobs[ref.key] = Job(
                kind=kind,
                key=ref.key,
                label=f"{kind} {work.what}",
                dataset=site.choice,
                identity=site.data.identity,
                spec=spec,
                needs=tuple(needs),
                gives=(ref,),
                plugins=work.plugins,
                weight=work.weight,
            )
        return ref

    def add_training(self, site: DataAndModel, spec: TrainingSpec, epoch: int, work: Work) -> str:
        """Add a training, or another snapshot of one that is there; the key of the network after an epoch."""
        key = spec.key
        job = self.jobs.get(key)
        epochs = sorted({epoch, *(job.snapshots if job else ())})
        gives = {e: spec.network(e) for e in epochs}
        self.jobs[key] = Job(
            kind="train",
            key=key,
            label=job.label if job else f"train {work.what}",
            dataset=site.choice,
            identity=site.data.identity,
            spec=spec,
            needs=(
                *(Ref("networks", key) for key in spec.given.values()),
                *(Ref("observations", key) for key in spec.answers.values()),
            ),
            gives=tuple(gives.values()),
            snapshots=tuple(epochs),
            plugins=work.plugins,
            weight=epochs[-1] * work.weight,
        )
        return gives[epoch].key


def united(*plugins: tuple[PluginFile, ...]) -> tuple[PluginFile, ...]:
    """All plugin files, each once, in their order."""
    return tuple(dict.fromkeys(itertools.chain(*plugins)))
