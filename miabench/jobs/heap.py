"""Memory that a training or an observation frees and asks for again in every step.

The library of C gives large blocks back to the system when they are freed, and to have their pages zeroed when they
are asked for again takes up to a third of a step of a network of convolutions.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, in bytes
MOST = 2**31 - 1
USUAL = 2**22  # elsewhere larger blocks go back at once, as holes between smaller ones add up to 200 MiB and more


@contextmanager
def kept() -> Iterator[None]:
    """Let this process keep what it frees until the end of a block of `with`; elsewhere than with glibc, as it does."""
    _set(mmap=MOST, trim=MOST)
    try:
        yield
    finally:
        _set(mmap=USUAL, trim=2 * USUAL)
        _call("malloc_trim", 0)


def _set(mmap: int, trim: int) -> None:
    _call("mallopt", MMAP_THRESHOLD, mmap)
    _call("mallopt", TRIM_THRESHOLD, trim)


def _call(name: str, *values: int) -> None:
    if sys.platform == "linux":
        with suppress(AttributeError):  # another library of C
            ctypes.CDLL(None)[name](*values)
