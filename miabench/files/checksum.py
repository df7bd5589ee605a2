"""Telling a whole file from a damaged one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from miabench.errors import UserError
from miabench.files.hashing import hash_of
from miabench.files.opened import opened

Stamp: TypeAlias = tuple[int, int, int]


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
    """What changes when a file is written: size, time in nanoseconds, and inode; None where there is none."""
    try:
        about = os.stat(path)  # noqa: PTH116 - a Path takes longer to make than this call
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns, about.st_ino
