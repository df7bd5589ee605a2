"""Running a graph of jobs: each when its inputs are stored, once; a failure fails only what needs it."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from miabench.errors import DISK_FULL
from miabench.jobs.executors.base import Event, Executor
from miabench.jobs.specs import Job
from miabench.jobs.stopping import on_stop
from miabench.jobs.todo import is_stored
from miabench.plugins.discover import PluginFile
from miabench.store.store import Store

LOOK_AGAIN = 1.0  # seconds between two looks at what other processes are at


@dataclass
class Outcome:
    """How a set of jobs ended.

    Attributes:
        done: how many were done now, by this process and its workers.
        elsewhere: how many other processes on the same store have done meanwhile.
        stored: how many were there before.
        failed: why, by key, of the jobs that raised or whose worker died.
        blocked: why the other jobs could not run, by key: the failure at the root of what each waits for.
    """

    done: int = 0
    elsewhere: int = 0
    stored: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        others = f"{self.elsewhere} done by other processes, " if self.elsewhere else ""
        return (
            f"{self.done} jobs done, {others}{self.stored} were in the store, {len(self.failed)} failed, "
            f"{len(self.blocked)} could not run"
        )


def run_jobs(
    jobs: Mapping[str, Job], executor: Callable[[], Executor], store: Store, on_event: Callable[[Event], None]
) -> Outcome:
    """Do jobs; what another process on the same store is at is left to it, and others are done meanwhile.

    Args:
        jobs: that are to be done, by key, each after those it needs.
        executor: makes the executor; called only if there is something to run.
        store: where results go.
        on_event: hears every event.
    """
    outcome = Outcome()
    if not jobs:
        return outcome
    queue, workers = _Queue(jobs), executor()
    try:
        with on_stop(workers.interrupted):
            _Work(queue, workers, outcome, on_event).through(store)
    finally:
        workers.close()
    outcome.blocked = {
        key: DISK_FULL if queue.stopped else queue.first_cause(key, outcome.failed) for key in queue.waiting()
    }
    return outcome


class _Work:
    """Hands jobs to workers, and keeps what becomes of them."""

    def __init__(self, queue: _Queue, workers: Executor, outcome: Outcome, on_event: Callable[[Event], None]) -> None:
        self._queue = queue
        self._workers = workers
        self._outcome = outcome
        self._on_event = on_event
        self._running = 0
        self._died: set[str] = set()  # keys of jobs whose worker did

    def through(self, store: Store) -> None:
        """Start what can run, and hear how it ends, until nothing is left that can."""
        queue = self._queue
        while True:
            queue.look_again()
            while self._running < self._workers.slots and (
                job := queue.next(self._workers.waiting(), self._workers.fits)
            ):
                if is_stored(job, store):
                    self._hear(Event("stored", job))
                elif store.is_locked(job.key):
                    queue.put_off(job.key)
                else:
                    self._workers.start(job)
                    self._on_event(Event("started", job))
                    self._running += 1
            if not self._running and (queue.stopped or not queue.elsewhere):
                return
            for event in self._news(LOOK_AGAIN if queue.elsewhere else None):
                self._running -= event.kind != "progress"
                self._hear(self._once_more(event) if event.kind == "died" else event)

    def _news(self, seconds: float | None) -> list[Event]:
        """What the workers say, at the latest after some seconds where they are given."""
        if self._running:
            return self._workers.wait(seconds)
        time.sleep(LOOK_AGAIN)
        return []

    def _once_more(self, event: Event) -> Event:
        """What becomes of a job whose worker died: it is tried a second time."""
        if event.job.key in self._died:
            return replace(event, kind="failed", why=f"{event.why}, twice")
        self._died.add(event.job.key)
        return replace(event, kind="retried")

    def _hear(self, event: Event) -> None:
        """Keep what an event says of a job, and hand it on."""
        self._on_event(event)
        match event.kind:
            case "done" | "stored":
                self._outcome.done += event.kind == "done"
                self._outcome.elsewhere += event.kind == "stored"
                self._queue.finished(event.job.key)
            case "locked":
                self._queue.put_off(event.job.key)
            case "retried":
                self._queue.put_back(event.job)
            case "failed":
                self._outcome.failed[event.job.key] = event.why
                self._queue.stopped |= event.why == DISK_FULL  # hours of training would end in the same way


class _Queue:
    """Jobs in their order, each handed out once all that it needs is there; none once it is `stopped`.

    Attributes:
        elsewhere: keys of the jobs that other processes are at.
    """

    def __init__(self, todo: Mapping[str, Job]) -> None:
        self.stopped = False
        self.elsewhere: set[str] = set()
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

    def put_off(self, key: str) -> None:
        """Another process is at a job that was handed out."""
        self.elsewhere.add(key)
        self._waiting.add(key)

    def look_again(self) -> None:
        """Hand out again what was put off: the other processes may have done it, have failed, or be no more."""
        for key in self.elsewhere:
            self._make_ready(key)
        self.elsewhere.clear()

    def waiting(self) -> list[str]:
        """Jobs that were not handed out."""
        return [key for key in self._todo if key in self._waiting]

    def first_cause(self, key: str, failed: Mapping[str, str]) -> str:
        """Why a job could not run: the failure at the root of what it waits for."""
        while key not in failed:
            key = min(self._needs[key], key=self._order.__getitem__)
        return failed[key]
