"""How long one job may take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Protocol, TypeVar

from miabench.jobs.specs import Job


class AtWork(Protocol):
    """Who does a job, in whatever process.

    Attributes:
        job: what it does, or None.
        begun: when it began with that, once its imports were over; monotonic seconds.
    """

    job: Job | None
    begun: float | None


W = TypeVar("W", bound=AtWork)


class TimeLimit:
    """The limit of `--job-timeout`.

    Args:
        seconds: after which a job is ended; None: never.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds

    def left(self, workers: Iterable[AtWork]) -> float | None:
        """Seconds until the first of them is late; None where none ever will be."""
        left = min(map(self._left, workers), default=math.inf)
        return None if left == math.inf else max(0.0, left)

    def late(self, workers: Iterable[W]) -> list[W]:
        """Those whose job has taken longer."""
        return [worker for worker in workers if self._left(worker) <= 0]

    @property
    def why(self) -> str:
        """What is said of a job that was ended."""
        return f"it took longer than --job-timeout {self._seconds:g} seconds, so its worker process was ended"

    def _left(self, worker: AtWork) -> float:
        if worker.job is None or worker.begun is None:
            return math.inf
        return worker.begun + self._seconds - time.monotonic()
