"""One worker process, as its parent sees it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TypeAlias

from miabench.jobs.specs import Context, Job

STOP = "stop"  # a line to a worker: end after this epoch

News: TypeAlias = "queue.Queue[tuple[Worker, dict[str, object] | None]]"  # messages; None: the process has ended


class Worker:
    """A worker process, and the job it is at.

    Attributes:
        job: what it does, or None.
        begun: when it began with that, once its imports were over; monotonic seconds.
        plugins: the plugin files that it has imported.
        process: runs `miabench.jobs.worker`, in a folder where one is given.
    """

    def __init__(self, context: Context, news: News, folder: str | None = None) -> None:
        self.job: Job | None = None
        self.begun: float | None = None
        self.plugins = frozenset(context.plugins)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "miabench._worker"],  # -P: a folder `miabench` here must not be taken for it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**threads, **os.environ},
            cwd=folder,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the workers
        )
        self._send(context.model_dump_json())
        self._reader = threading.Thread(target=self._read, args=(news,), daemon=True)
        self._reader.start()

    def give(self, job: Job) -> None:
        """Send a job."""
        self.job, self.begun = job, None
        self._send(job.model_dump_json())

    def stop(self) -> None:
        """Ask it to save a training's state after this epoch, and to end."""
        self._send(STOP)

    def death(self) -> str:
        """How a process ended that nobody ended, in words for the user."""
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"its worker process {how}{' (out of memory?)' if code == -signal.SIGKILL else ''}"

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: its reader says so
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _read(self, news: News) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            news.put((self, json.loads(line)))
        news.put((self, None))

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Release the pipes of a process that has ended."""
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
