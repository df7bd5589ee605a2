"""How much memory jobs take, learnt from those that ran: no more are started than fit."""

from __future__ import annotations

from collections.abc import Mapping

from miabench.jobs.executors import memory
from miabench.jobs.specs import Job

UNKNOWN = 2**30  # bytes: what a job takes before one of its sort has told; torch alone is about half of that


class Needs:
    """The most memory that a job of each sort has taken so far."""

    def __init__(self) -> None:
        self._most: dict[tuple[str, ...], int] = {}  # bytes, by sort
        self._killed: set[str] = set()  # keys of jobs whose worker was, perhaps for want of memory

    def learn(self, job: Job, pid: int) -> None:
        """Take note of what a worker takes at a job; its first epoch tells."""
        self._most[job.sort] = max(self._most.get(job.sort, 0), memory.peak(pid))

    def runs_alone(self, job: Job) -> None:
        """Take note of a job whose worker was killed."""
        self._killed.add(job.key)

    def allow(self, job: Job, running: Mapping[int, Job], freed: int | None) -> bool:
        """Whether there is memory for a job beside those that are running.

        Of a sort of which nothing is known, one is started. A job whose worker was killed runs alone.

        Args:
            job: to be started.
            running: jobs, by their process.
            freed: the idle process that it takes the place of, if any.
        """
        free = memory.free()
        if not running or free is None:
            return True
        unknown = job.sort not in self._most and job.sort in {other.sort for other in running.values()}
        if unknown or job.key in self._killed:
            return False
        more = self._of(job) - (memory.peak(freed) if freed is not None else 0)
        return more + sum(max(0, self._of(other) - memory.peak(pid)) for pid, other in running.items()) <= free

    def _of(self, job: Job) -> int:
        return self._most.get(job.sort, max(self._most.values(), default=UNKNOWN))
