"""Jobs in worker processes on this machine.

Workers are fed JSON, never objects, so this works from an unguarded script or a notebook, and the parent never
touches the accelerator. A worker that dies fails its own job only; another takes its place. A worker imports one set of
plugin files and does only the jobs of that set: no file's code runs in the process of another file's jobs.
"""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from subprocess import TimeoutExpired

from miabench.jobs.executors import memory
from miabench.jobs.executors.base import Event
from miabench.jobs.executors.needs import Needs
from miabench.jobs.executors.process import News, Worker
from miabench.jobs.executors.time_limit import TimeLimit
from miabench.jobs.specs import Context, Job
from miabench.jobs.stopping import GRACE, stop
from miabench.plugins.discover import PluginFile


class Local:
    """Some worker processes, started when there is work for them.

    Args:
        context: where jobs find things.
        workers: at most so many at once, and no more than there is memory for.
        job_timeout: seconds after which a job is ended; None: never.
    """

    def __init__(self, context: Context, workers: int, job_timeout: float | None = None) -> None:
        self.slots = workers
        self._context = context
        self._limit = TimeLimit(job_timeout)
        self._news: News = queue.Queue()
        self._workers: list[Worker] = []
        self._needs = Needs()

    def start(self, job: Job) -> None:
        """Give a job to an idle worker of its plugin files, or to a new one in the place of another."""
        worker = self._free_for(job)
        if worker is None or worker.plugins != frozenset(job.plugins):
            if worker is not None:
                self._end(worker)
            worker = Worker(self._context.model_copy(update={"plugins": job.plugins}), self._news)
            self._workers.append(worker)
        memory.forget_peak(worker.process.pid)
        worker.give(job)

    def waiting(self) -> Collection[frozenset[PluginFile]]:
        """The plugin files of idle workers."""
        return {worker.plugins for worker in self._workers if worker.job is None}

    def _free_for(self, job: Job) -> Worker | None:
        """An idle worker of a job's plugin files; else one that makes room for it; None where a new one has room."""
        idle = [worker for worker in self._workers if worker.job is None]
        own = [worker for worker in idle if worker.plugins == frozenset(job.plugins)]
        return next(iter([*own, *(idle if len(self._workers) == self.slots else [])]), None)

    def fits(self, job: Job) -> bool:
        """Whether there is memory for a job beside those that are running, whose first epochs tell what they take."""
        running = {worker.process.pid: worker.job for worker in self._workers if worker.job}
        freed = self._free_for(job)
        return self._needs.allow(job, running, freed.process.pid if freed else None)

    # --- news ---

    def wait(self, seconds: float | None = None) -> list[Event]:
        """Block for the next message of any worker, or until a job has taken too long."""
        if late := list(self._late()):
            return late
        limits = [limit for limit in (seconds, self._limit.left(self._workers)) if limit is not None]
        try:
            worker, message = self._news.get(timeout=min(limits, default=None))
        except queue.Empty:
            return []
        if worker not in self._workers:  # it was ended
            return []
        if message is None:
            return self._buried(worker)
        job = worker.job
        assert job is not None
        if message["kind"] == "begun":
            worker.begun = time.monotonic()
            return []
        self._needs.learn(job, worker.process.pid)
        if message["kind"] != "progress":
            worker.job = None
        if message.pop("last", False):
            self._end(worker)
        return [Event(**message, job=job)]  # type: ignore[arg-type]

    def _late(self) -> Iterator[Event]:
        for worker in self._limit.late(self._workers):
            assert worker.job is not None
            self._end(worker)
            yield Event("failed", worker.job, why=self._limit.why)

    def _buried(self, worker: Worker) -> list[Event]:
        self._workers.remove(worker)
        why = worker.death()
        worker.close()
        if worker.job and worker.process.returncode == -signal.SIGKILL:
            self._needs.runs_alone(worker.job)
        return [Event("died", worker.job, why=why)] if worker.job else []

    # --- the end ---

    def interrupted(self, number: int) -> None:
        """End the run; `close` lets trainings save their state."""
        stop(number)

    def _end(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()

    def close(self) -> None:
        """End all workers: trainings after their epoch, if that ends soon, the others at once.

        What they had not finished goes on from its last checkpoint, what they had is stored.
        """
        training = [worker for worker in self._workers if worker.job and worker.job.kind == "train"]
        deadline = time.monotonic() + GRACE
        try:
            for worker in training:
                worker.stop()
            for worker in training:
                with suppress(TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                worker.kill()
            self._workers = []
