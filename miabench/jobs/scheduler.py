"""Running a graph of jobs: each when its inputs are stored, once; a failure fails only what needs it."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from miabench.errors import DISK_FULL
from miabench.jobs.executors.base import Event, Executor
from miabench.jobs.specs import Context, Job
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
    queue = _Queue(todo)
    workers = executor()
    running = 0
    try:
        while True:
            while running < workers.slots and (job := queue.next(workers.waiting())):
                workers.start(job)
                on_event(Event("started", job))
                running += 1
            if not running:
                break
            for event in workers.wait():
                on_event(event)
                running -= event.kind != "progress"
                if event.kind == "done":
                    outcome.done += 1
                    queue.finished(event.job.key)
                elif event.kind == "failed":
                    outcome.failed[event.job.key] = event.why
                    queue.stopped |= event.why == DISK_FULL  # hours of training would end in the same way
    finally:
        workers.close()
    outcome.blocked = {
        key: DISK_FULL if queue.stopped else queue.first_cause(key, outcome.failed) for key in queue.waiting()
    }
    return outcome


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

    def waiting(self) -> list[str]:
        """Jobs that were not handed out."""
        return [key for key in self._todo if key in self._waiting]

    def first_cause(self, key: str, failed: Mapping[str, str]) -> str:
        """Why a job could not run: the failure at the root of what it waits for."""
        while key not in failed:
            key = min(self._needs[key], key=self._order.__getitem__)
        return failed[key]
