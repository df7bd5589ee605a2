"""What each defense costs: all trainings that a target needed, as if made for it alone, and its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from miabench.results.index import Cell, CellKey, Entry
from miabench.results.results import Results
from miabench.store.manifest import AnsweringCost, Manifest, TrainingCost
from miabench.store.store import Ref
from miabench.training.meter import COSTS

Costs: TypeAlias = Mapping[CellKey, "Cost"]


class Setup(NamedTuple):
    """What times depend on beside the work; `processor` is the accelerator's name where one was used."""

    device: str
    processor: str
    threads: int
    workers: int


@dataclass(frozen=True)
class Cost:
    """Means over the targets of a cell's finished runs.

    Attributes:
        trainings: networks that were trained for one target, teachers and the like included; not those that were
            taken over from another training as they are.
        seconds: wall seconds of those trainings; on an accelerator the device's.
        cpu_seconds: processor seconds of those trainings.
        forwarded: records that networks answered during training.
        differentiated: records for which a gradient was taken.
        answering: seconds to answer 1,000 records, serving included.
        withheld: records of the training part that are not trained on as members.
        measured_with: every device, processor, number of threads and number of workers that times were measured with.
        parameters: how many numbers the training of the answered network sets; None where the store does not say.
    """

    trainings: float
    seconds: float
    cpu_seconds: float
    forwarded: float
    differentiated: float
    answering: float | None
    withheld: int
    measured_with: frozenset[Setup]
    parameters: int | None = None

    @property
    def on_cpu(self) -> bool:
        """Whether all trainings ran on the processor."""
        return all(setup.device == "cpu" for setup in self.measured_with)

    @property
    def paid(self) -> float:
        """Seconds of the processor; of an accelerator where one was used."""
        return self.cpu_seconds if self.on_cpu else self.seconds

    def ratio(self, base: Cost | None) -> float | None:
        """How many times another's seconds; None unless all trainings of both were measured alike."""
        if base is None or len(self.measured_with | base.measured_with) != 1 or base.paid <= 0:
            return None
        return self.paid / base.paid


COST = TypeAdapter(Cost | None)


def costs(results: Results) -> Costs:
    """Costs of every cell that has a finished target."""
    found = (
        (cell, results.derived.get(["cost", results.about(cell)], COST, partial(_cost, results, cell)))
        for cell in results.index.cells
    )
    return {cell.key: cost for cell, cost in found if cost is not None}


def _cost(results: Results, cell: Cell) -> Cost | None:
    targets = [entry for entry in results.accuracy_entries(cell) if entry.network and results.store.has(entry.network)]
    if not targets:
        return None
    chains = [list(_chain(results, entry.network)) for entry in targets if entry.network]
    spent = [[_cost_of(part) for part in chain] for chain in chains]
    totals = {name: float(np.mean([sum(getattr(one, name) for one in chain) for chain in spent])) for name in COSTS}
    answering = [seconds for entry in targets if (seconds := _answering(results, entry)) is not None]
    return Cost(
        trainings=float(np.mean([sum(one.forwarded > 0 for one in chain) for chain in spent])),
        **totals,
        answering=float(np.mean(answering)) if answering else None,
        withheld=sum(n for part, n in cell.counts.items() if part not in ("members", "non-members")),
        measured_with=frozenset(_setup(part) for chain in chains for part in chain),
        parameters=chains[0][0].parameters,
    )


def _setup(training: Manifest) -> Setup:
    processor = training.environment["gpu"] or training.environment["cpu"]
    return Setup(training.device, str(processor), training.threads, _cost_of(training).workers)


def _cost_of(training: Manifest) -> TrainingCost:
    assert isinstance(training.cost, TrainingCost), "every network's manifest has it"
    return training.cost


def _chain(results: Results, network: Ref) -> Iterator[Manifest]:
    """Manifests of a network and of all that it started from, each once."""
    waiting, seen = [network.key], set()
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen.add(key)
            manifest = results.store.manifest(Ref("networks", key))
            waiting += manifest.given
            yield manifest


def _answering(results: Results, entry: Entry) -> float | None:
    if entry.metrics is None or not results.store.has(entry.metrics):
        return None
    logits = Ref("observations", results.store.manifest(entry.metrics).logits)
    measured = results.store.manifest(logits).cost
    return 1000 * measured.seconds / measured.records if isinstance(measured, AnsweringCost) else None
