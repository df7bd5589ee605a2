"""`miabench status`: what of an experiment is done, running, missing and failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from miabench.results.job_list import ListedJob
from miabench.store.store import Store

State = Literal["done", "running", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "running", "failed", "missing")
KINDS = ("train", "observe", "attack", "measure")


@dataclass(frozen=True)
class Status:
    """What has become of the jobs of an experiment.

    Attributes:
        counts: of jobs, by kind (`train`, `observe`, `attack`, `measure`) and state.
        running: labels of the jobs that someone works on.
        failed: why, by label, of the jobs that failed last time.
    """

    counts: Mapping[str, Mapping[State, int]]
    running: Sequence[str]
    failed: Mapping[str, str]

    def __str__(self) -> str:
        lines = [
            f"{kind:<8} " + ", ".join(f"{counts[state]} {state}" for state in STATES)
            for kind, counts in self.counts.items()
        ]
        running = [f"running: {label}" for label in self.running]
        failed = [f"failed:  {label}: {why}" for label, why in self.failed.items()]
        return "\n".join([*lines, *running, *failed])


def state_of(job: ListedJob, store: Store) -> State:
    """What has become of a job."""
    if store.has_all(job.gives):
        return "done"
    if store.is_locked(job.key):
        return "running"
    return "missing" if store.failure(job.key) is None else "failed"


def status(jobs: Sequence[ListedJob], store: Store) -> Status:
    """What has become of all jobs of an experiment."""
    states = {job.key: state_of(job, store) for job in jobs}
    counts = {kind: Counter(states[job.key] for job in jobs if job.kind == kind) for kind in KINDS}
    running = [job.label for job in jobs if states[job.key] == "running"]
    failed = {job.label: (store.failure(job.key) or "").splitlines()[-1] for job in jobs if states[job.key] == "failed"}
    return Status(counts, running, failed)
