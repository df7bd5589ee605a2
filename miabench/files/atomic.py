"""Files and folders that appear whole or not at all: written under a temporary name, synced, renamed.

A temporary name says who writes: host, process and when that process began. So what a killed one left is told from what
a living one writes, also where several machines or containers share a folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

TEMPORARY = re.compile(
    r"\.(?:.+\.)?(?P<host>[\w-]+)\.(?P<pid>\d+)\.(?P<began>\d+)\.[0-9a-f]{8}(?:\.old)?\.(?:tmp|part)"
)
OLD = 24 * 3600.0  # seconds after which what another host left unfinished is taken for a leftover


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Write files into the folder given by `with`; they replace `folder` as one when the block ends without error.

    A process killed at any moment leaves the old folder, the new one, or (between two renames) none: never a part.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{_writer()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            sync(file)
        sync(temporary)
        if folder.is_symlink():
            folder.unlink()  # what it leads to is not ours to replace
        if folder.exists():
            old = temporary.with_suffix(".old.tmp")
            folder.rename(old)
            temporary.rename(folder)
            shutil.rmtree(old)
        else:
            temporary.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def temporary_folder(within: Path) -> Iterator[Path]:
    """A folder for the block of `with` to work in, below another."""
    folder = within / f".{_writer()}.tmp"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there replaces `path` when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_writer()}.part")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file; on a full disk it is an error, always.

    Libraries that write a file themselves may lose the error of the last bytes, as `numpy.save` does, and leave a file
    that is cut off: give their output here as bytes.
    """
    with path.open("wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that are no more left unfinished in a folder.

    Of this host it is what no living process writes, of other hosts what is older than a day. Names that are not ours,
    and links, are left alone.
    """
    for path in folder.glob(".*"):
        if is_leftover(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether a process that is no more left something unfinished under this name."""
    name = TEMPORARY.fullmatch(path.name)
    if name is None or path.is_symlink():
        return False
    if name["host"] != _host():
        with suppress(FileNotFoundError):
            return time.time() - path.stat().st_mtime > OLD
        return False
    return _began(int(name["pid"])) != int(name["began"])


def _writer() -> str:
    """A name that nobody else gives, for something unfinished."""
    return f"{_host()}.{os.getpid()}.{_began(os.getpid())}.{uuid.uuid4().hex[:8]}"


@cache
def _host() -> str:
    """Where process numbers mean what they mean here: this host since it was started, and this container."""
    about = [socket.gethostname()]
    with suppress(OSError):
        about.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        about.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    name = re.sub(r"[^\w-]", "-", socket.gethostname().partition(".")[0], flags=re.ASCII) or "host"
    return f"{name[:32]}-{hashlib.sha256(' '.join(about).encode()).hexdigest()[:8]}"


def _began(pid: int) -> int | None:
    """When a process began, in ticks since the system did (0 where the system does not say); None if there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        if Path("/proc/self").readlink().name == str(os.getpid()):  # else it numbers processes as another container
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        pass
    return 0


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
