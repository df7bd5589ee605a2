"""What the benchmarks share: seconds, ways measured in turns, and what is printed: machine, versions, table or JSON."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Spent(NamedTuple):
    """Seconds of this process and of the children that ended meanwhile."""

    cpu: float
    wall: float


def spent(call: Callable[[], Any]) -> Spent:
    """What one call takes."""
    cpu, wall = _cpu(), time.monotonic()
    call()
    return Spent(_cpu() - cpu, time.monotonic() - wall)


def _cpu() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def in_turns(ways: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[Spent]]:
    """Every way once a turn, so that what else the machine does meets all of them alike."""
    found: dict[str, list[Spent]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, call in ways.items():
            found[name].append(spent(call))
    return found


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Median over the turns of how many times longer the other took."""
    return statistics.median(b / a for a, b in zip(ours, other, strict=True))


def parser(about: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark: `--json`, and what is added."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the numbers hold for: versions, processor or GPU, cores, and how many processes wanted to run of late."""
    import torch

    from miabench.jobs.machine import environment

    here = {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}
    return environment(torch.device(device))["environment"] | here


def show(title: str, rows: Sequence[Mapping[str, Any]], as_json: bool, device: str = "cpu") -> None:
    """Print what was measured, and the machine.

    Args:
        title: what the numbers are, with their unit.
        rows: one for each line, with the same keys.
        as_json: one JSON object instead of a table.
        device: on which it was measured.
    """
    if as_json:
        print(json.dumps({"title": title, "machine": machine(device), "measured": rows}, indent=1))
        return
    print(title)
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    print(", ".join(f"{name} {value}" for name, value in machine(device).items() if value is not None))


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
