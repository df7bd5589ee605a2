"""Jobs in this process, one after another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection

from miabench.errors import DISK_FULL, TrainingError, UserError, disk_is_full, text_of
from miabench.jobs.executors.base import Event
from miabench.jobs.specs import Context, Job
from miabench.jobs.stopping import GRACE, stop
from miabench.plugins.discover import PluginFile
from miabench.plugins.plugin_files import describe


class Inline:
    """One job at a time in the calling process; `listen` hears its progress while it runs."""

    slots = 1

    def __init__(self, context: Context, on_event: Callable[[Event], None]) -> None:
        from miabench.jobs.runner import JobRunner

        self._runner = JobRunner(context)
        self._listen = on_event
        self._job: Job | None = None
        self._training = False
        self._asked: int | None = None  # the signal that asked to end after this epoch
        self._timer: threading.Timer | None = None

    def waiting(self) -> Collection[frozenset[PluginFile]]:
        """None: this process has imported all plugin files."""
        return ()

    def fits(self, job: Job) -> bool:
        """Yes: it runs alone."""
        return True

    def start(self, job: Job) -> None:
        """Remember the job; `wait` does it."""
        self._job = job

    def wait(self, seconds: float | None = None) -> list[Event]:
        """Do the job, however long it takes."""
        job, self._job = self._job, None
        assert job is not None
        self._training = job.kind == "train"
        kind, why = attempt(self._runner.run, job, lambda record: self._heard(Event("progress", job, record)))
        self._training = False
        self._end_if_asked()
        return [Event(kind, job, why=why)]

    def _heard(self, event: Event) -> None:
        self._listen(event)
        self._end_if_asked()

    def _end_if_asked(self) -> None:
        if self._asked is not None:
            stop(self._asked)

    def interrupted(self, number: int) -> None:
        """End the run: a training may end its epoch, if that ends soon; a second time, or else, at once."""
        if not self._training or self._asked is not None:
            stop(number)
        self._asked = number
        self._timer = threading.Timer(GRACE, os.kill, (os.getpid(), number))
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Nothing runs between calls."""
        if self._timer is not None:
            self._timer.cancel()


def attempt(
    run: Callable[[Job, Callable[[dict[str, float]], None]], str],
    job: Job,
    progress: Callable[[dict[str, float]], None],
) -> tuple[str, str]:
    """Run a job; the kind of event that it ends in, and where it failed why, in words for the user."""
    try:
        return run(job, progress), ""
    except (TrainingError, UserError) as error:
        return "failed", text_of(error)
    except (Exception, SystemExit) as error:  # a plugin may call sys.exit
        return "failed", DISK_FULL if disk_is_full(error) else describe(error)
