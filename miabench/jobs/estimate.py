"""`--dry-run`: what a plan would take: trainings, records, time on this device, disk. Nothing is trained or stored.

Times are measured: of every dataset, model and defense the defense's own `fit` goes over a few batches of the pool, a
few times, at a learning rate of nearly zero and from fresh networks in place of those it would start from; what it
makes is dropped. Settings of a defense share the time of the first. Only trainings are timed; answers, attacks and
metrics come on top.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from miabench.data.pool import Data
from miabench.errors import UserError
from miabench.experiment.remarks import subject
from miabench.jobs.arithmetic import DTYPES, arithmetic, warm_up
from miabench.jobs.disk import Disk, Makers, kind_of, label_of, spec_of
from miabench.jobs.machine import devices_here
from miabench.jobs.plan import Plan
from miabench.jobs.resources import Resources
from miabench.jobs.runner import code_of
from miabench.jobs.specs import Job, TrainingSpec
from miabench.jobs.weights import sizes
from miabench.plugins.process_state import isolated
from miabench.results.index import Index
from miabench.store.store import Ref
from miabench.training.records import Records
from miabench.training.task import Task, TaskConfig

EPOCHS = 3  # the first warms up, the others are timed
SMALL_BATCH = 32  # records of the first try: on a CPU a whole batch can take minutes
LONG = 1.0  # seconds: where a whole batch would take longer, its time is taken from the small one, in proportion
MOST_BATCHES = 8
STILL = 1e-9  # learning rate: no loss diverges


@dataclass(frozen=True)
class Work:
    """Trainings to do of one dataset, model and defense.

    Attributes:
        epochs: of all of them together.
        records: that go forwards through their networks.
        seconds: one after another.
    """

    label: str
    trainings: int
    epochs: int
    records: float
    seconds: float


@dataclass(frozen=True)
class DryRun:
    """What is left to do of a plan.

    Attributes:
        subject: datasets and models.
        possible: cells that can be run; impossible: cells that are n/a.
        stored: trainings that the store has.
        workers: trainings at once.
        disk: bytes of what will be stored.
        reasons: why cells and attacks are n/a.
    """

    name: str
    subject: str
    device: str
    possible: int
    impossible: int
    stored: int
    work: tuple[Work, ...]
    workers: int
    disk: float
    notes: tuple[str, ...]
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return describe(self)


class Pace(NamedTuple):
    """How fast one kind of training is.

    Attributes:
        trains: whether it has epochs; without, `seconds` are those of the whole.
        seconds: of an epoch, for each member.
        forwarded: records through networks in an epoch, for each member.
    """

    trains: bool
    seconds: float
    forwarded: float


def estimate(plan: Plan, workers: int) -> DryRun:
    """Time a few steps of every kind of training that is not stored, and add up.

    Args:
        plan: what would be done.
        workers: trainings at once, as the executor would run them; each is taken to be as fast as it is here.

    Raises:
        UserError: a cluster would train on a device that this machine does not have.
    """
    if plan.context.device not in devices_here():
        raise UserError(
            f"a dry run times a few batches here, and this machine has no {plan.context.device}, which the cluster "
            "has; start it on a machine that has one"
        )
    resources = Resources(plan.context)
    warm_up()
    trainings = [job for job in plan.jobs.values() if isinstance(job.spec, TrainingSpec)]
    todo = plan.missing()
    makers = {ref.key: job for job in trainings for ref in job.gives}
    kinds: dict[tuple[str, ...], list[Job]] = defaultdict(list)
    for job in trainings:
        if job.key in todo:
            kinds[kind_of(job)].append(job)
    disk = Disk(resources, {ref.key: job for job in plan.jobs.values() for ref in job.gives})
    possible = sum(cell.reason is None for cell in plan.index.cells)
    return DryRun(
        name=plan.index.experiment.name,
        subject=subject(plan.index.experiment),
        device=plan.context.device,
        possible=possible,
        impossible=len(plan.index.cells) - possible,
        stored=sum(job.key not in todo for job in trainings),
        work=tuple(_work(resources, jobs, makers) for jobs in kinds.values()),
        workers=workers,
        disk=disk.of(todo.values()),
        notes=(*plan.index.notes, sizes(plan, disk.weights)),
        reasons=tuple(dict.fromkeys(_not_possible(plan.index))),
    )


def _not_possible(index: Index) -> Iterator[str]:
    """Why cells, and attacks on the others, are n/a."""
    for cell in index.cells:
        if cell.reason:
            yield f"{cell.label} on {cell.dataset} {cell.model}: {cell.reason}"
    groups: dict[str, tuple[dict[str, None], dict[str, None]]] = {}  # attacks and cells by reason
    for entry in index.entries:
        cell = index.cells[entry.cell]
        if entry.attack and entry.reason and not cell.reason:
            attacks, cells = groups.setdefault(entry.reason, ({}, {}))
            attacks[entry.attack] = cells[cell.label] = None
    for reason, (attacks, cells) in groups.items():
        everywhere = len(cells) == sum(not cell.reason for cell in index.cells)
        against = "" if everywhere else f" against {', '.join(cells)}"
        yield f"{', '.join(attacks)}{against}: {reason}"


def describe(found: DryRun) -> str:
    """The estimate as lines of text."""
    records, seconds = (sum(getattr(work, name) for work in found.work) for name in ("records", "seconds"))
    at_once = f", {found.workers} at once" if found.workers > 1 else ""
    lines = [
        f"{found.name} ({found.subject}): a dry run, nothing was trained",
        f"cells      {found.possible} to run, {found.impossible} n/a",
        f"trainings  {sum(work.trainings for work in found.work):,} to do, {found.stored:,} stored",
        f"epochs     {sum(work.epochs for work in found.work):,}",
        f"records    {records:,.0f} through networks",
        f"time       about {_duration(seconds / found.workers)} on {found.device}{at_once}, for trainings alone: "
        "answers, attacks and metrics come on top",
        f"disk       about {_size(found.disk)}",
    ]
    for work in sorted(found.work, key=lambda work: -work.seconds):
        took = _duration(work.seconds)
        lines.append(f"  {work.label}: {work.trainings:,} trainings, {work.epochs:,} epochs, {took} one after another")
    reasons = (f"n/a: {reason}" for reason in found.reasons)
    return "\n".join([*lines, *reasons, *(f"note: {note}" for note in found.notes)])


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _size(size: float) -> str:
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if size >= one:
            return f"{size / one:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"


# --- time ---


def _work(resources: Resources, jobs: Sequence[Job], makers: Makers) -> Work:
    pace = _pace(resources, jobs[0], makers)
    missing = [max(epoch for epoch, ref in _snapshots(job) if not resources.store.has_whole(ref)) for job in jobs]
    members = [len(resources.rows(spec_of(job).parts["train"].ids)) for job in jobs]
    passed = sum(epochs * n for epochs, n in zip(missing, members, strict=True))
    return Work(
        label=label_of(jobs[0]),
        trainings=len(jobs),
        epochs=sum(missing) if pace.trains else 0,
        records=passed * pace.forwarded,
        seconds=pace.seconds * (passed if pace.trains else len(jobs)),
    )


def _snapshots(job: Job) -> list[tuple[int, Ref]]:
    return list(zip(job.snapshots, job.gives, strict=True))


def _pace(resources: Resources, job: Job, makers: Makers) -> Pace:
    """Time a small batch, then as many whole ones as take no time to speak of."""
    batch = spec_of(job).schedule.batch_size
    pace = _timed(resources, job, makers, (min(SMALL_BATCH, batch), 1))
    batches = min(MOST_BATCHES, int(LONG / max(pace.seconds * batch, 1e-9)))
    return _timed(resources, job, makers, (batch, batches)) if batches else pace


def _timed(resources: Resources, job: Job, makers: Makers, size: tuple[int, int]) -> Pace:
    """Time epochs of some batches: size = (records in each, batches)."""
    spec = spec_of(job)
    pool = resources.pool(job.dataset, job.identity)
    batch, batches = size
    data, ids = _few(resources, spec, pool, batch * batches)
    short = {"epochs": EPOCHS, "milestones": {}, "lr": STILL, "batch_size": batch}
    ticks: list[tuple[float, float]] = []
    defense, build, capturable = resources.trained_by(spec, data)
    config = TaskConfig(
        build=build,
        num_classes=data.num_classes,
        augmentation=data.augmentation,
        ids=ids,
        given={name: partial(resources.untrained, spec_of(makers[key]), pool) for name, key in spec.given.items()},
        answers={name: torch.zeros(len(data), data.num_classes) for name in spec.answers},
        schedule=spec.schedule.model_copy(update=short),
        seed=spec.seed,
        device=resources.device,
        dtype=DTYPES[spec.compute.precision],
        progress=lambda record: ticks.append((time.perf_counter(), task.meter.read()["forwarded"])),
        capturable=capturable,
    )
    x = Records(data.x.to(resources.device), data.normalisation(resources.device, config.dtype))
    task = Task(config, x, data.y.to(resources.device))
    begun = time.perf_counter()
    with arithmetic(spec.compute), isolated(code_of(job), spec.seed):
        defense.fit(task)
    if len(ticks) < EPOCHS:
        return Pace(False, time.perf_counter() - begun, 0.0)
    passed = (EPOCHS - 1) * len(ids["train"])
    return Pace(True, *((last - first) / passed for first, last in zip(ticks[0], ticks[-1], strict=True)))


def _few(resources: Resources, spec: TrainingSpec, pool: Data, members: int) -> tuple[Data, dict[str, torch.Tensor]]:
    """Some members, with the same share of the other parts, as a pool of their own, and the rows of each part."""
    parts = {name: resources.rows(part.ids) for name, part in spec.parts.items()}
    share = min(1.0, members / len(parts["train"]))
    few = {name: rows[: max(2, round(share * len(rows)))] for name, rows in parts.items()}
    data = pool.rows(np.concatenate([rows.numpy() for rows in few.values()]))
    ids = torch.split(torch.arange(len(data)), [len(rows) for rows in few.values()])
    return data, dict(zip(few, ids, strict=True))
