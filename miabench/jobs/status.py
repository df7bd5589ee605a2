"""`miabench status`: what of an experiment is done, running, missing and failed."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from filelock import Timeout

from miabench.jobs.plan import Plan
from miabench.jobs.specs import Job
from miabench.store.store import Store

State = Literal["done", "running", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "running", "failed", "missing")


def state_of(job: Job, store: Store) -> State:
    """What has become of a job."""
    if store.has_all(job.gives):
        return "done"
    try:
        with store.lock(job.key).acquire(blocking=False):
            return "missing" if store.failure(job.key) is None else "failed"
    except Timeout:
        return "running"


def status(plan: Plan) -> str:
    """A line per kind of job with the number in each state, then the jobs that are running or failed."""
    store = plan.store
    states = {key: state_of(job, store) for key, job in plan.jobs.items()}
    lines = []
    for kind in ("train", "observe", "attack", "measure"):
        counts = Counter(states[key] for key, job in plan.jobs.items() if job.kind == kind)
        lines.append(f"{kind:<8} " + ", ".join(f"{counts[state]} {state}" for state in STATES))
    for key, job in plan.jobs.items():
        if states[key] == "running":
            lines.append(f"running: {job.label}")
        elif states[key] == "failed":
            lines.append(f"failed:  {job.label}: {(store.failure(key) or '').splitlines()[-1]}")
    return "\n".join(lines)
