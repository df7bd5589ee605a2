"""How much memory is free, and how much a process takes; None where the system does not say (it is not Linux)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
GROUP = Path("/sys/fs/cgroup")  # what containers and jobs of clusters may use


class Version(NamedTuple):
    """How a version of control groups says what a group may use, and uses.

    Attributes:
        room: folder below GROUP.
        limit: file of the bytes that it may use.
        used: file of the bytes that it uses.
        dropped: what its copies of files, which give way, are called in `memory.stat`; those of groups within it too.
    """

    room: str
    limit: str
    used: str
    dropped: str


V1 = Version("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = Version("", "memory.max", "memory.current", "inactive_file")


def free() -> int | None:
    """Bytes that more processes can take: of the machine, or of the container or cluster's job where that has less."""
    machine = _field(PROC / "meminfo", "MemAvailable")
    limits = [left for left in (machine, *_left_in_groups()) if left is not None]
    return min(limits, default=None)


def _left_in_groups() -> Iterator[int | None]:
    """What is left in this process's group, and in those that it is in: each has a limit of its own."""
    for version, path in ((V1, _group_of("memory")), (V2, _group_of(""))):
        root = GROUP / version.room
        group = root / path
        while group != root:
            yield _left(group, version)
            group = group.parent
        yield _left(root, version)  # in a container it is often its own


def _group_of(controller: str) -> str:
    """The group of this process in a hierarchy, as a path below its root; empty where that is not told."""
    with suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(",") and ".." not in path.split("/"):
                return path.strip("/")
    return ""


def _left(group: Path, version: Version) -> int | None:
    limit, used = _number(group / version.limit), _number(group / version.used)
    if limit is None or used is None:
        return None
    return limit - used + (_word(group / "memory.stat", version.dropped) or 0)


def peak(pid: int) -> int:
    """The most bytes that a process has taken since `forget_peak`; 0 where that is not known."""
    return _field(PROC / str(pid) / "status", "VmHWM") or 0


def forget_peak(pid: int) -> None:
    """Let the peak of a process be what it takes now."""
    with suppress(OSError):
        (PROC / str(pid) / "clear_refs").write_text("5")


def _field(path: Path, name: str) -> int | None:
    """Bytes, from a line such as `VmHWM:  1234 kB`."""
    kilobytes = _word(path, f"{name}:")
    return None if kilobytes is None else 1024 * kilobytes


def _word(path: Path, name: str) -> int | None:
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.split()[:1] == [name]:
                return int(line.split()[1])
    return None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):  # it says `max` where there is no limit
        return int(path.read_text())
    return None
