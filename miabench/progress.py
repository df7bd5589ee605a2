"""Showing how far the jobs are: a live bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from miabench.executors.base import Event
from miabench.specs import Job

LINE_EVERY = 5.0  # seconds between two plain lines that report no training


class Display:
    """Listens to the events of some jobs and shows them; a context manager.

    Args:
        jobs: the jobs that are to be done, by key.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._total = len(jobs)
        self._done = 0
        self._weight = {key: job.weight for key, job in jobs.items()}
        self._console = Console(file=sys.stderr, markup=False, highlight=False)
        self._live = self._bar() if self._console.is_terminal else None
        self._task: TaskID | None = None
        self._last_line = time.monotonic()
        self._reasons: set[str] = set()

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.fields[count]}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[job]}"),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
            todo = sum(self._weight.values())
            self._task = self._live.add_task("", total=todo, count=self._count(), job="starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "progress":
            self._progress(event)
            return
        self._done += 1
        if event.kind == "failed":
            why = "for the same reason" if event.why in self._reasons else event.why
            self._reasons.add(event.why)
            self._say(f"failed: {event.job.label}: {why}")
        if self._live and self._task is not None:
            self._live.update(self._task, count=self._count(), job=escape(event.job.label))
            self._live.advance(self._task, self._rest(event.job))
        elif event.job.kind == "train" or time.monotonic() - self._last_line > LINE_EVERY or self._done == self._total:
            self._last_line = time.monotonic()
            self._say(f"[{self._count()}] {event.job.label}")

    def _progress(self, event: Event) -> None:
        record = event.record or {}
        if self._live and self._task is not None:
            share = event.job.weight / event.job.snapshots[-1]
            self._weight[event.job.key] -= share
            loss = f", loss {record['loss']:.3f}" if "loss" in record else ""
            words = f"{event.job.label}: epoch {record['epoch']:.0f}/{event.job.snapshots[-1]}{loss}"
            self._live.update(self._task, job=escape(words))
            self._live.advance(self._task, share)

    def _rest(self, job: Job) -> float:
        """What is left of a job's weight once it has ended."""
        return max(0.0, self._weight.pop(job.key, 0.0))

    def _count(self) -> str:
        return f"{self._done}/{self._total}"

    def _say(self, text: str) -> None:
        (self._live.console if self._live else self._console).print(text, soft_wrap=True)
