"""Running a graph of jobs: each when its inputs are stored, once; a failure fails only what needs it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from miabench.errors import DISK_FULL
from miabench.jobs.executors.base import Event, Executor
from miabench.jobs.specs import Job
from miabench.jobs.stopping import on_stop
from miabench.plugins.discover import PluginFile
from miabench.store.store import Store


@dataclass
class Outcome:
    """How a set of jobs ended.

    Attributes:
        done: how many were done now.
        stored: how many were there before.
        failed: why, by key, of the jobs that raised or whose worker died.
        blocked: why the other jobs could not run, by key: the failure at the root of what each waits for.
    """

    done: int = 0
    stored: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.done} jobs done, {self.stored} were in the store, {len(self.failed)} failed, "
            f"{len(self.blocked)} could not run"
        )


def run_jobs(
    jobs: Mapping[str, Job], executor: Callable[[], Executor], store: Store, on_event: Callable[[Event], None]
) -> Outcome:
    """Run all jobs that are not stored yet.

    Args:
        jobs: by key, each after those it needs.
        executor: makes the executor; called only if there is something to run.
        store: where results go.
        on_event: hears every event.
    """
    outcome = Outcome()
    todo = {key: job for key, job in jobs.items() if not store.has_all(job.gives)}
    outcome.stored = len(jobs) - len(todo)
    if not todo:
        return outcome
    queue, workers = _Queue(todo), executor()
    try:
        with on_stop(workers.interrupted):
            _work_through(queue, workers, outcome, on_event)
    finally:
        workers.close()
    outcome.blocked = {
        key: DISK_FULL if queue.stopped else queue.first_cause(key, outcome.failed) for key in queue.waiting()
    }
    return outcome


def _work_through(queue: _Queue, workers: Executor, outcome: Outcome, on_event: Callable[[Event], None]) -> None:
    """Start what can run, and hear how it ends, until nothing is left that can."""
    running = 0
    died: set[str] = set()  # keys of jobs whose worker did
    while True:
        while running < workers.slots and (job := queue.next(workers.waiting(), workers.fits)):
            workers.start(job)
            on_event(Event("started", job))
            running += 1
        if not running:
            return
        for heard in workers.wait():
            event = _once_more(heard, died) if heard.kind == "died" else heard
            on_event(event)
            running -= event.kind != "progress"
            if event.kind == "done":
                outcome.done += 1
                queue.finished(event.job.key)
            elif event.kind == "retried":
                queue.put_back(event.job)
            elif event.kind == "failed":
                outcome.failed[event.job.key] = event.why
                queue.stopped |= event.why == DISK_FULL  # hours of training would end in the same way


def _once_more(event: Event, died: set[str]) -> Event:
    """What becomes of a job whose worker died: it is tried a second time."""
    if event.job.key in died:
        return replace(event, kind="failed", why=f"{event.why}, twice")
    died.add(event.job.key)
    return replace(event, kind="retried")


class _Queue:
    """Jobs in their order, each handed out once all that it needs is there; none once it is `stopped`."""

    def __init__(self, todo: Mapping[str, Job]) -> None:
        self.stopped = False
        self._todo = todo
        self._waiting = set(todo)
        self._order = {key: i for i, key in enumerate(todo)}
        makers = {ref: job.key for job in todo.values() for ref in job.gives}
        self._needs = {key: {makers[ref] for ref in job.needs if ref in makers} for key, job in todo.items()}
        self._needed_by: dict[str, list[str]] = {}
        for key, needs in self._needs.items():
            for need in needs:
                self._needed_by.setdefault(need, []).append(key)
        self._ready: dict[tuple[frozenset[PluginFile], tuple[str, ...]], list[tuple[int, str]]] = {}
        # by plugin files and sort of job; heaps, sorted by order
        for key, needs in self._needs.items():
            if not needs:
                self._make_ready(key)

    def _make_ready(self, key: str) -> None:
        job = self._todo[key]
        heap = self._ready.setdefault((frozenset(job.plugins), job.sort), [])
        heapq.heappush(heap, (self._order[key], key))

    def next(self, preferred: Collection[frozenset[PluginFile]], fits: Callable[[Job], bool]) -> Job | None:
        """The first job that can run now and fits: of those of a preferred set of plugin files, if there is one."""
        ready = [(plugins not in preferred, heap) for (plugins, _), heap in self._ready.items() if heap]
        for _, heap in sorted(ready, key=lambda one: (one[0], one[1][0])) if not self.stopped else ():
            job = self._todo[heap[0][1]]
            if fits(job):
                heapq.heappop(heap)
                self._waiting.discard(job.key)
                return job
        return None

    def put_back(self, job: Job) -> None:
        """A job that was handed out can run again."""
        self._waiting.add(job.key)
        self._make_ready(job.key)

    def finished(self, key: str) -> None:
        """What a finished job gives is there."""
        for other in self._needed_by.get(key, ()):
            self._needs[other].discard(key)
            if not self._needs[other]:
                self._make_ready(other)

    def waiting(self) -> list[str]:
        """Jobs that were not handed out."""
        return [key for key in self._todo if key in self._waiting]

    def first_cause(self, key: str, failed: Mapping[str, str]) -> str:
        """Why a job could not run: the failure at the root of what it waits for."""
        while key not in failed:
            key = min(self._needs[key], key=self._order.__getitem__)
        return failed[key]
