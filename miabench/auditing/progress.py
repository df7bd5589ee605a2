"""Showing how far an audit is: live on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY = 5.0  # seconds between two plain lines


@dataclass(frozen=True)
class Step:
    """Where an audit stands.

    Attributes:
        attack: the one that is run.
        number: its place among all, from 1.
        attacks: how many there are.
        asked: records that the network was asked about for it.
        records: of so many; 0 where it is asked about none.
    """

    attack: str
    number: int
    attacks: int
    asked: int = 0
    records: int = 0

    def __str__(self) -> str:
        """`[3/22] boundary: 40/200 records`."""
        records = f": {self.asked}/{self.records} records" if self.records else ""
        return f"[{self.number}/{self.attacks}] {self.attack}{records}"


Listener: TypeAlias = Callable[[Step], None]


def silent(step: Step) -> None:
    """Listens, and shows nothing."""


class Display:
    """Shows the steps of an audit that it is called with; a context manager.

    Args:
        console: where to; standard error by default.
        clock: the time in seconds.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(file=sys.stderr, markup=False, highlight=False)
        self._clock = clock
        self._last_line = clock()
        columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("reading", total=None)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show one step; an attack that asks about every record counts as begun, not as done."""
        done = step.number - 1 + (step.asked / step.records if step.records else 0)
        self._bar.update(self._task, description=str(step), total=step.attacks, completed=done)
        if not self._console.is_terminal and self._clock() - self._last_line > LINE_EVERY:
            self._last_line = self._clock()
            self._console.print(str(step), soft_wrap=True)
