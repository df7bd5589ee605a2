"""Locks between processes, on files that are removed when the lock is released.

They are the system's (flock): a process that dies, in whatever way, holds none. On one machine they hold across
containers; docs/the-store.md says on which file systems they do across machines.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from miabench.errors import UserError


class LockedError(Exception):
    """Another process or thread holds the lock."""


@contextmanager
def lock(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock for the block of `with`.

    Args:
        path: of the lock's file, in a folder that is there.
        wait: until whoever holds it is done.

    Raises:
        LockedError: it is held, and `wait` is false.
        UserError: the file system has no locks.
    """
    descriptor = _locked(path, wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever waits for this file sees that it is gone
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock; nothing is written."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _flock(path, descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def _locked(path: Path, wait: bool) -> int:
    """An open file at `path` that is locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            if not _flock(path, descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)):
                raise LockedError(path)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed it meanwhile: the lock of today is another file


def _flock(path: Path, descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        raise UserError(
            f"the file system of {path.parent} has no locks ({error.strerror}); choose another folder"
        ) from None
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
