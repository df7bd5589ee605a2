"""How much memory is free, and how much a process takes; None where the system does not say (it is not Linux)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
GROUP = Path("/sys/fs/cgroup")  # what a container may use


def free() -> int | None:
    """Bytes that more processes can take: of the machine, or of the container where that has less."""
    machine = _field(PROC / "meminfo", "MemAvailable")
    limits = [left for left in (machine, _left_in_group()) if left is not None]
    return min(limits, default=None)


def _left_in_group() -> int | None:
    limit, used = _number(GROUP / "memory.max"), _number(GROUP / "memory.current")
    if limit is None or used is None:
        return None
    dropped = _word(GROUP / "memory.stat", "inactive_file")  # copies of files that give way
    return limit - used + (dropped or 0)


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
