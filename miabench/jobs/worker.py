"""A worker process: reads its context and then jobs from standard input, a line of JSON each, and does them.

It answers on standard output, a line of JSON each, and says which answer is its last: a job that changed the process is
followed by none. It ends when its standard input does, too: a parent that was killed leaves no worker behind.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TextIO

from miabench.jobs.specs import Context, Job


def main() -> None:
    """Do jobs until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints to standard output must not be taken for an answer
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    context = Context.model_validate_json(lines.get())

    from miabench.jobs.executors.inline import attempt
    from miabench.jobs.runner import JobRunner
    from miabench.plugins.process_state import ProcessChangedError

    runner = cache(lambda: JobRunner(context))  # made in the first job, so that what is wrong with it is reported
    changed = False  # whether a job has changed what the next would share with it

    def run(job: Job, progress: Callable[[dict[str, float]], None]) -> str:
        nonlocal changed
        try:
            return runner().run(job, progress)
        except ProcessChangedError:
            changed = True
            raise

    while not changed:
        job = Job.model_validate_json(lines.get())
        kind, why = attempt(run, job, lambda record: _answer(answers, kind="progress", record=record))
        _answer(answers, kind=kind, why=why, last=changed)


def _listen(lines: queue.Queue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # the parent has gone; a training in the main thread would go on for nobody


def _answer(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()
