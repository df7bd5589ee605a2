"""Showing how far the jobs are: live on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from miabench.jobs.executors.base import Event
from miabench.jobs.specs import Job

LINE_EVERY = 5.0  # seconds between two plain lines about jobs that are no trainings
EPOCH_EVERY = 60.0  # seconds between two plain lines about epochs


class Display:
    """Listens to the events of some jobs and shows them; a context manager.

    On a terminal a bar of all the work, with the time left, stands above a line for each job that is running.

    Args:
        jobs: the jobs that are to be done, by key.
        console: where to; standard error by default.
        clock: the time in seconds.
    """

    def __init__(
        self, jobs: Mapping[str, Job], console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(file=sys.stderr, markup=False, highlight=False)
        self._clock = clock
        self._done = 0
        self._number = len(jobs)
        self._rest = {key: job.weight for key, job in jobs.items()}  # work left, by job
        self._running: dict[str, tuple[str, str]] = {}  # by key, a job's label and what is known of it
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            get_time=clock,
            speed_estimate_period=math.inf,  # one epoch may take longer than any period
        )
        self._bar.add_task(self._count(), total=sum(self._rest.values()))
        (self._all,) = self._bar.tasks
        self._live = Live(get_renderable=self._picture, console=self._console, transient=True)
        self._is_live = self._console.is_terminal and bool(jobs)
        self._last_line = self._last_epoch = clock()
        self._reasons: set[str] = set()

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "started":
            self._running[event.job.key] = (event.job.label, "")
        elif event.kind == "progress":
            self._epoch(event.job, event.record or {})
        elif event.kind == "locked":
            self._running.pop(event.job.key, None)
        elif event.kind == "retried":
            self._running.pop(event.job.key, None)
            self._console.print(f"[{self._count()}] tried once more: {event.job.label}: {event.why}", soft_wrap=True)
        else:
            self._ended(event)

    def _epoch(self, job: Job, record: Mapping[str, float]) -> None:
        epoch, epochs = round(record["epoch"]), job.snapshots[-1]
        one = job.weight / epochs
        rest = one * (epochs - epoch)
        self._advance(done=one, never_done=self._rest[job.key] - rest - one)  # a resumed training begins in the middle
        self._rest[job.key] = rest
        loss = f", loss {record['loss']:.3f}" if "loss" in record else ""
        words = f": epoch {epoch}/{epochs}{loss}"
        self._running[job.key] = (job.label, words)
        if not self._is_live and self._clock() - self._last_epoch > EPOCH_EVERY:
            self._last_epoch = self._clock()
            self._console.print(f"[{self._count()}] {job.label}{words}; {self._left()}", soft_wrap=True)

    def _ended(self, event: Event) -> None:
        job = event.job
        self._done += 1
        rest = self._rest.pop(job.key)
        self._advance(*((0.0, rest) if job.kind == "train" else (rest, 0.0)))  # a training that stops early
        self._running.pop(job.key, None)
        self._bar.update(self._all.id, description=self._count())
        if event.kind == "failed":
            why = "for the same reason" if event.why in self._reasons else event.why
            self._reasons.add(event.why)
            self._console.print(f"[{self._count()}] failed: {job.label}: {why}", soft_wrap=True)
        elif not self._is_live and (job.kind == "train" or self._is_time() or self._done == self._number):
            self._last_line = self._clock()
            whose = " (done by another process)" if event.kind == "stored" else ""
            self._console.print(f"[{self._count()}] {job.label}{whose}", soft_wrap=True)

    def _advance(self, done: float, never_done: float) -> None:
        """Count work that was done, and no longer what will not be: it says nothing about the speed."""
        if self._all.total is not None:
            self._all.total -= never_done
        self._bar.advance(self._all.id, done)

    def _is_time(self) -> bool:
        return self._clock() - self._last_line > LINE_EVERY

    def _count(self) -> str:
        return f"{self._done}/{self._number}"

    def _left(self) -> str:
        left = self._all.time_remaining
        if left is None:
            return "time left not known yet"
        return f"about {left // 3600:.0f}:{left % 3600 // 60:02.0f}:{left % 60:02.0f} left"

    def _picture(self) -> Group:
        lines = [Text(self._fitted(*job), no_wrap=True, overflow="crop") for job in list(self._running.values())]
        return Group(self._bar, *lines)

    def _fitted(self, label: str, words: str) -> str:
        """A line no wider than the terminal; the end of a label, where run and role stand, is what tells jobs apart."""
        room = self._console.width - len(words) - 2
        return f"  {label if len(label) <= room else '…' + label[-max(room - 1, 0) :]}{words}"
