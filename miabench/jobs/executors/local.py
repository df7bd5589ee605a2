"""Jobs in worker processes on this machine.

Workers are fed JSON, never objects, so this works from an unguarded script or a notebook, and the parent never
touches the accelerator. A worker that dies fails its own job only; another takes its place. A worker imports one set of
plugin files and does only the jobs of that set: no file's code runs in the process of another file's jobs.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress

from miabench.jobs.executors.base import Event
from miabench.jobs.specs import Context, Job
from miabench.plugins.discover import PluginFile


class Local:
    """Some worker processes, started when there is work for them."""

    def __init__(self, context: Context, workers: int) -> None:
        self.slots = workers
        self._context = context
        self._news: queue.Queue[tuple[_Worker, dict[str, object] | None]] = queue.Queue()
        self._workers: list[_Worker] = []

    def start(self, job: Job) -> None:
        """Give a job to an idle worker of its plugin files, or to a new one in the place of another."""
        worker = next((worker for worker in self._idle() if worker.plugins == frozenset(job.plugins)), None)
        if worker is None:
            if len(self._workers) == self.slots:
                self._end(self._idle()[0])
            worker = _Worker(self._context.model_copy(update={"plugins": job.plugins}), self._news)
            self._workers.append(worker)
        worker.give(job)

    def waiting(self) -> Collection[frozenset[PluginFile]]:
        """The plugin files of idle workers."""
        return {worker.plugins for worker in self._idle()}

    def _idle(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is None]

    def wait(self, seconds: float | None = None) -> list[Event]:
        """Block for the next message of any worker."""
        try:
            worker, message = self._news.get(timeout=seconds)
        except queue.Empty:
            return []
        if worker not in self._workers:  # it was ended
            return []
        if message is None:
            return self._buried(worker)
        job = worker.job
        assert job is not None
        if message["kind"] != "progress":
            worker.job = None
        if message.pop("last", False):
            self._end(worker)
        return [Event(**message, job=job)]  # type: ignore[arg-type]

    def _buried(self, worker: _Worker) -> list[Event]:
        self._workers.remove(worker)
        code = worker.process.wait()
        worker.close()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return [Event("failed", worker.job, why=f"its worker process {how}{hint}")] if worker.job else []

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.wait()
        worker.close()

    def close(self) -> None:
        """End all workers at once; what they had not finished is lost, what they had is stored."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.close()
        self._workers = []


class _Worker:
    """One worker process, and the job it is at."""

    def __init__(self, context: Context, news: queue.Queue[tuple[_Worker, dict[str, object] | None]]) -> None:
        self.job: Job | None = None
        self.plugins = frozenset(context.plugins)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "miabench._worker"],  # -P: a folder `miabench` here must not be taken for it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**threads, **os.environ},
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the workers
        )
        self._send(context.model_dump_json())
        self._reader = threading.Thread(target=self._read, args=(news,), daemon=True)
        self._reader.start()

    def give(self, job: Job) -> None:
        """Send a job."""
        self.job = job
        self._send(job.model_dump_json())

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: its reader says so
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _read(self, news: queue.Queue[tuple[_Worker, dict[str, object] | None]]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            news.put((self, json.loads(line)))
        news.put((self, None))

    def close(self) -> None:
        """Release the pipes of a process that has ended."""
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
