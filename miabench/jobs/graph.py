"""The graph of jobs: one for each thing that is to be stored, under its key, after all that it needs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from miabench.data.pool import Data
from miabench.data.splits import Ids
from miabench.jobs.cells import DataAndModel
from miabench.jobs.configured import Configured
from miabench.jobs.specs import (
    AttackSpec,
    DerivedSpec,
    Job,
    MeasureSpec,
    ModelView,
    ObservationSpec,
    Part,
    TrainingSpec,
)
from miabench.plugins.discover import PluginFile
from miabench.store.store import Artifact, Ref, Store

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


class Graph:
    """Jobs by key; what several cells need is there once.

    Args:
        configured: the experiment.
        store: keeps the lists of records that specs name.
    """

    def __init__(self, configured: Configured, store: Store) -> None:
        self.configured = configured
        self.store = store
        self.jobs: dict[str, Job] = {}
        # by dataset, network and attack: under protocol pool many targets are compared with the same models
        self.views: dict[tuple[str, str, str], ModelView] = {}

    def part(self, data: Data, rows: Ids) -> Part:
        """Some records in order, as specs name them."""
        return Part(ids=self.store.put_ids(rows), content=data.fingerprint(torch.from_numpy(rows)))

    def joined(self, lists: Sequence[str]) -> Ids:
        """The rows of several stored lists, one after the other."""
        return np.concatenate([np.empty(0, np.int64), *(self.store.ids(ids) for ids in lists)])

    def add(self, site: DataAndModel, spec: AfterTraining, needs: Sequence[Ref], work: Work) -> Ref:
        """The artifact of a spec, whose job is added where it is new."""
        kind, gives = KINDS[type(spec)]
        ref = Ref(gives, spec.key)
        if spec.key not in self.jobs:
            self.jobs[spec.key] = Job(
                kind=kind,
                key=spec.key,
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
        job = self.jobs.get(spec.key)
        epochs = sorted({epoch, *(job.snapshots if job else ())})
        self.jobs[spec.key] = Job(
            kind="train",
            key=spec.key,
            label=job.label if job else f"train {work.what}",
            dataset=site.choice,
            identity=site.data.identity,
            spec=spec,
            needs=(
                *(Ref("networks", key) for key in spec.given.values()),
                *(Ref("observations", key) for key in spec.answers.values()),
            ),
            gives=tuple(spec.network(e) for e in epochs),
            snapshots=tuple(epochs),
            plugins=work.plugins,
            weight=epochs[-1] * work.weight,
        )
        return spec.network(epoch).key


def united(*plugins: tuple[PluginFile, ...]) -> tuple[PluginFile, ...]:
    """All plugin files, each once, in their order."""
    return tuple(dict.fromkeys(itertools.chain(*plugins)))
