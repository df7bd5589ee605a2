"""What every executor offers: start jobs, and say when they end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from miabench.jobs.specs import Job
from miabench.plugins.discover import PluginFile


@dataclass(frozen=True)
class Event:
    """News of one job.

    Attributes:
        kind: `started`, `progress` (an epoch's record), `done`, `failed`, `died` (its worker did), `retried` (after
            that), `stored` (another process has done it), or `locked` (another process is at it: nothing was done).
        why: of what failed or died, in words for the user.
    """

    kind: str
    job: Job
    record: dict[str, float] | None = None
    why: str = ""


class Executor(Protocol):
    """Runs jobs somewhere. A job's inputs are stored before it is started."""

    @property
    def slots(self) -> int:
        """How many jobs may run at once now; a cluster grows and shrinks."""

    def waiting(self) -> Collection[frozenset[PluginFile]]:
        """The plugin files of processes that have nothing to do: a job of one of these sets starts at once."""

    def fits(self, job: Job) -> bool:
        """Whether there is memory for a job now; always, while none is running."""

    def start(self, job: Job) -> None:
        """Begin a job; called only while fewer than `slots` jobs are running."""

    def wait(self, seconds: float | None = None) -> list[Event]:
        """Block until there is news; no longer than some seconds where they are given and jobs run elsewhere."""

    def interrupted(self, number: int) -> None:
        """Hear of a signal that asks to end: by `Stopped`, now or when a training has saved its state."""

    def close(self) -> None:
        """End everything that is still running; trainings may save their state."""
