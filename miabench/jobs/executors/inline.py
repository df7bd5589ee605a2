"""Jobs in this process, one after another."""

from __future__ import annotations

from collections.abc import Callable, Collection

from miabench.errors import DISK_FULL, TrainingError, UserError, disk_is_full
from miabench.jobs.executors.base import Event
from miabench.jobs.specs import Context, Job
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

    def waiting(self) -> Collection[frozenset[PluginFile]]:
        """None: this process has imported all plugin files."""
        return ()

    def start(self, job: Job) -> None:
        """Remember the job; `wait` does it."""
        self._job = job

    def wait(self, seconds: float | None = None) -> list[Event]:
        """Do the job, however long it takes."""
        job, self._job = self._job, None
        assert job is not None
        kind, why = attempt(self._runner.run, job, lambda record: self._listen(Event("progress", job, record)))
        return [Event(kind, job, why=why)]

    def close(self) -> None:
        """Nothing runs between calls."""


def attempt(
    run: Callable[[Job, Callable[[dict[str, float]], None]], str],
    job: Job,
    progress: Callable[[dict[str, float]], None],
) -> tuple[str, str]:
    """Run a job; the kind of event that it ends in, and where it failed why, in words for the user."""
    try:
        return run(job, progress), ""
    except (TrainingError, UserError) as error:
        return "failed", str(error)
    except Exception as error:
        return "failed", DISK_FULL if disk_is_full(error) else describe(error)
