"""Running a graph of jobs: each when its inputs are stored, once; a failure fails only what needs it."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from miabench.errors import DISK_FULL
from miabench.jobs.executors.base import Event, Executor
from miabench.jobs.specs import Context, Job
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


def make_executor(name: str, workers: int | None, context: Context, on_event: Callable[[Event], None]) -> Executor:
    """An executor by name: `inline` or `local`; workers None means one per core (one in all on an accelerator)."""
    if name == "inline":
        from miabench.jobs.executors.inline import Inline

        return Inline(context, on_event)
    from miabench.jobs.executors.local import Local

    slots = workers or workers_on(context.device)
    return Local(context.model_copy(update={"workers": slots}), slots)


def workers_on(device: str) -> int:
    """How many workers `auto` is: one per core that this process may use, or one in all on an accelerator."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if device == "cpu" else 1


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
    queue = _Queue(jobs)
    workers = executor()
    running = 0
    try:
        while True:
            queue.look_again(store)
            while running < workers.slots and (job := queue.next(workers.waiting())):
                if is_stored(job, store):
                    on_event(Event("stored", job))
                    _note(Event("stored", job), outcome, queue)
                elif store.is_locked(job.key):
                    queue.put_off(job.key)
                else:
                    workers.start(job)
                    on_event(Event("started", job))
                    running += 1
            if not running and (queue.stopped or not queue.elsewhere):
                break
            for event in _news(workers, running, LOOK_AGAIN if queue.elsewhere else None):
                on_event(event)
                running -= event.kind != "progress"
                _note(event, outcome, queue)
    finally:
        workers.close()
    outcome.blocked = {
        key: DISK_FULL if queue.stopped else queue.first_cause(key, outcome.failed) for key in queue.waiting()
    }
    return outcome


def _news(workers: Executor, running: int, seconds: float | None) -> list[Event]:
    """What the workers say, at the latest after some seconds where they are given."""
    if running:
        return workers.wait(seconds)
    time.sleep(LOOK_AGAIN)
    return []


def _note(event: Event, outcome: Outcome, queue: _Queue) -> None:
    """Keep what an event says of a job."""
    match event.kind:
        case "done" | "stored":
            outcome.done += event.kind == "done"
            outcome.elsewhere += event.kind == "stored"
            queue.finished(event.job.key)
        case "locked":
            queue.put_off(event.job.key)
        case "failed":
            outcome.failed[event.job.key] = event.why
            queue.stopped |= event.why == DISK_FULL  # hours of training would end in the same way


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
        self._ready: dict[frozenset[PluginFile], list[tuple[int, str]]] = {}  # by plugin files; heaps, sorted by order
        for key, needs in self._needs.items():
            if not needs:
                self._make_ready(key)

    def _make_ready(self, key: str) -> None:
        heap = self._ready.setdefault(frozenset(self._todo[key].plugins), [])
        heapq.heappush(heap, (self._order[key], key))

    def next(self, preferred: Collection[frozenset[PluginFile]]) -> Job | None:
        """The first job that can run now: of those of a preferred set of plugin files, if there is one."""
        ready = {plugins: heap for plugins, heap in self._ready.items() if heap}
        if self.stopped or not ready:
            return None
        _, key = heapq.heappop(min([ready[p] for p in preferred if p in ready] or ready.values()))
        self._waiting.discard(key)
        return self._todo[key]

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

    def look_again(self, store: Store) -> None:
        """Hand out again what other processes are no longer at: they have done it, have failed, or are no more."""
        for key in [key for key in self.elsewhere if not store.is_locked(key)]:
            self.elsewhere.discard(key)
            self._make_ready(key)

    def waiting(self) -> list[str]:
        """Jobs that were not handed out."""
        return [key for key in self._todo if key in self._waiting]

    def first_cause(self, key: str, failed: Mapping[str, str]) -> str:
        """Why a job could not run: the failure at the root of what it waits for."""
        while key not in failed:
            key = min(self._needs[key], key=self._order.__getitem__)
        return failed[key]
