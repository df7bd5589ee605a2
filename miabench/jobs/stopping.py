"""The end of a run by a signal: Ctrl-C, SIGTERM (clusters, containers) and SIGHUP (a closed terminal) alike."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE = 10.0  # seconds that trainings are given to end their epoch and save; clusters wait 30 before they kill
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # by name: not every system has all


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end.

    Attributes:
        signal: its number.
    """

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.signal = signal


def stop(number: int) -> None:
    """End whatever runs now.

    Raises:
        Stopped: always.
    """
    raise Stopped(number)


@contextmanager
def on_stop(heard: Callable[[int], None]) -> Iterator[None]:
    """In the block, signals that ask to end call a function; it gets the number.

    What is ignored stays so, as SIGHUP under nohup. Only the main thread hears signals: in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in heeded:
        signal.signal(number, lambda number, frame: heard(number))
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
