"""`miabench status --watch`: looking again and again, on a terminal in one place, elsewhere as often as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from miabench.errors import harmless_lines

if TYPE_CHECKING:
    from miabench.jobs.status import Status

EVERY = 2.0  # seconds between two looks
WAITING = "this experiment was not begun with this store yet"


def show_until_done(look: Callable[[], Status | None], every: float = EVERY) -> None:
    """Show what a look finds, until all jobs are done or Ctrl-C; None: it was not begun yet."""
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        shown = ""
        try:
            while True:
                found = look()
                text = WAITING if found is None else harmless_lines(str(found))
                if console.is_terminal:
                    live.update(Text(text), refresh=True)
                elif text != shown:
                    console.print(Text(text), soft_wrap=True)
                shown = text
                if found is not None and found.complete:
                    return
                time.sleep(every)
        except KeyboardInterrupt:
            return
