"""Which jobs are to be done: those of which something is not stored, and trainings whose removed weights are needed."""

from __future__ import annotations

from collections.abc import Mapping

from miabench.jobs.specs import Job
from miabench.store.store import Store


def is_stored(job: Job, store: Store) -> bool:
    """Whether all that a job gives is stored, the weights of networks too."""
    return all(store.has_whole(ref) for ref in job.gives)


def todo(jobs: Mapping[str, Job], store: Store) -> dict[str, Job]:
    """The jobs to be done, in order.

    A network whose weights were removed is enough where nothing is to be computed from it; else it is trained again.

    Args:
        jobs: by key, each after those it needs.
        store: where results are.
    """
    found: set[str] = set()
    needed: set[str] = set()  # keys of the networks that jobs to be done start from
    for key, job in reversed(list(jobs.items())):
        retrained = any(ref.key in needed and store.lacks_weights(ref) for ref in job.gives)
        if retrained or not store.has_all(job.gives):
            found.add(key)
            needed |= {ref.key for ref in job.needs if ref.kind == "networks"}
    return {key: job for key, job in jobs.items() if key in found}
