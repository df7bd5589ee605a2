"""Telling a whole file from a damaged one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from miabench.errors import UserError
from miabench.files.hashing import hash_of
from miabench.files.opened import opened

SETTLED = 2 * 10**9  # nanoseconds; a file that changed later than that may change again and show the same time

Stamp: TypeAlias = tuple[int, int, int, int]


def checksum(path: Path) -> str:
    """SHA-256 of a file of ours, in hexadecimal.

    Raises:
        UserError: it is missing, no regular file, or larger than the memory, into which such files are read.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > memory:
            raise UserError(f"{path} is larger than this machine's memory: {size:,} bytes")
        return hash_of(file)


def stamp_of(path: str) -> Stamp | None:
    """What changes when a file is written: size, times of its content and of its entry, in ns, and inode; else None."""
    try:
        about = os.stat(path)  # noqa: PTH116 - a Path takes longer to make than this call
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def is_settled(stamps: Iterable[Stamp | None]) -> bool:
    """Whether no file changed a moment ago."""
    before = time.time_ns() - SETTLED
    return all(stamp is None or max(stamp[1:3]) < before for stamp in stamps)
