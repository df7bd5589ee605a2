"""Memory that a job frees and asks for again in every step.

The library of C gives large blocks back to the system when they are freed, and to have their pages zeroed when they
are asked for again takes up to a third of a step of a network of convolutions.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, in bytes
MOST = 2**31 - 1
USUAL = 2**25  # the largest block that glibc would keep by itself, and that versions before 2.35 can be told to keep
CHOSEN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")  # by whoever set these variables
STEPWISE = ("train", "observe")  # kinds of jobs that do the same with one batch after another


def during(kind: str) -> AbstractContextManager[None]:
    """What a job of a kind is done within."""
    return kept() if kind in STEPWISE else nullcontext()


@contextmanager
def kept() -> Iterator[None]:
    """Let this process keep what it frees until the end of a block of `with`, where its library of C is glibc.

    Afterwards it behaves as after a while by itself, not as before: for processes of our own.
    """
    ours = sys.platform == "linux" and not any(name in os.environ for name in CHOSEN)
    if ours and (_call("mallopt", MMAP_THRESHOLD, MOST) or _call("mallopt", MMAP_THRESHOLD, USUAL)):
        _call("mallopt", TRIM_THRESHOLD, MOST)
    yield
    if ours and _call("mallopt", MMAP_THRESHOLD, USUAL):
        _call("mallopt", TRIM_THRESHOLD, 2 * USUAL)
        _call("malloc_trim", 0)


def _call(name: str, *values: int) -> int:
    """What a function of glibc answers, 0 where it refuses; 0 of another library that has no such function."""
    with suppress(AttributeError):
        return int(ctypes.CDLL(None)[name](*values))
    return 0
