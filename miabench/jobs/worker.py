"""A worker process: reads its context and then jobs from standard input, a line of JSON each, and does them.

It answers on standard output, a line of JSON each, and says which answer is its last: a job that changed the process is
followed by none. It ends when its standard input does, too: a parent that was killed leaves no worker behind. Asked to
end, by its parent or a signal, it lets a training finish its epoch and save its state.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TextIO

from miabench.jobs import heap
from miabench.jobs.executors.process import STOP
from miabench.jobs.specs import Context, Job
from miabench.jobs.stopping import on_stop, stop

PR_SET_PDEATHSIG = 1  # of Linux' prctl: the signal that a process gets when its parent ends


def main() -> None:
    """Do jobs until standard input ends."""
    _end_with_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints to standard output must not be taken for an answer
    lines: queue.Queue[str] = queue.Queue()
    worker = _Worker(lines, answers)
    threading.Thread(target=worker.listen, daemon=True).start()
    try:
        with on_stop(worker.asked):
            worker.work()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


class _Worker:
    """Does jobs one after another.

    Args:
        lines: what the parent says.
        answers: to the parent.
    """

    def __init__(self, lines: queue.Queue[str], answers: TextIO) -> None:
        self._lines = lines
        self._answers = answers
        self._stopping = threading.Event()
        self._training = False

    def listen(self) -> None:
        """Hear what the parent says while a job runs."""
        for line in sys.stdin:
            if line.strip() == STOP:
                self._stopping.set()
            self._lines.put(line)
        os._exit(0)  # the parent has gone; a training in the main thread would go on for nobody

    def asked(self, number: int) -> None:
        """A signal asks this process to end: at once, or after a training's epoch."""
        if not self._training or self._stopping.is_set():
            stop(number)
        self._stopping.set()

    def work(self) -> None:
        """Do jobs until one has changed the process, or the worker is to end."""
        context = Context.model_validate_json(self._lines.get())
        gc.disable()  # what is imported stays: looking for garbage among it takes an eighth of a worker's start

        from miabench.jobs.executors.inline import attempt
        from miabench.jobs.runner import JobRunner
        from miabench.plugins.process_state import ProcessChangedError

        gc.freeze()
        gc.enable()
        runner = cache(lambda: JobRunner(context))  # made in the first job: what is wrong with it is reported
        changed = False  # whether a job has changed what the next would share with it

        def run(job: Job, progress: Callable[[dict[str, float]], None]) -> str:
            nonlocal changed
            try:
                return runner().run(job, progress)
            except ProcessChangedError:
                changed = True
                raise

        while not changed:
            line = self._lines.get()
            if self._stopping.is_set():
                return
            job = Job.model_validate_json(line)
            self._answer(kind="begun")
            self._training = job.kind == "train"
            with heap.during(job.kind):
                kind, why = attempt(run, job, self._progress)
            self._training = False
            self._answer(kind=kind, why=why, last=changed)

    def _progress(self, record: dict[str, float]) -> None:
        self._answer(kind="progress", record=record)
        if self._stopping.is_set():
            stop(signal.SIGTERM)

    def _answer(self, **message: Any) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()


def _end_with_parent() -> None:
    """Let Linux end this process with its parent, even within a C call that lets no other thread run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
