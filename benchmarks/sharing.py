"""Trains one experiment with one process, and with several that start at the same time on one store, and compares.

    python benchmarks/sharing.py [--processes 3] [-- OPTIONS OF miabench train]

Each process has one worker. What is printed: the trainings that each has done, the seconds of wall time, whether all is
stored once and with the same bits as by one process, and the lock files that are left. By default 30 trainings of the
preset `bits`: ten models under three defenses.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAININGS = ("--set", "models=10")  # under three defenses
COUNTED = re.compile(r"(\d+) jobs done, (?:(\d+) done by other processes, )?(\d+) were in the store, (\d+) failed")


def train(store: Path, processes: int, options: list[str]) -> tuple[float, list[str]]:
    """Train with some processes on one store; wall seconds, and what each says at its end."""
    command = [sys.executable, "-m", "miabench", "train", *options, "--store", str(store), "--workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    said = [process.communicate()[1] for process in running]
    if any(process.returncode for process in running):
        sys.exit("\n".join(said))
    return time.monotonic() - began, said


def counted(said: str) -> str:
    """What one process did, in words."""
    found = COUNTED.search(said)
    assert found, said
    done, elsewhere, stored, failed = (int(count or 0) for count in found.groups())
    return f"{done} done, {elsewhere} by others meanwhile, {stored} before, {failed} failed"


def weights(store: Path) -> dict[str, bytes]:
    """The networks of a store, by key."""
    return {path.parent.name: path.read_bytes() for path in store.glob("networks/*/weights.safetensors")}


def main() -> None:
    """Train twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("options", nargs="*", default=list(TRAININGS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stores = {processes: Path(folder, f"by-{processes}") for processes in (given.processes, 1)}
        for processes, store in stores.items():
            seconds, said = train(store, processes, given.options)
            left = len(list((store / "locks").iterdir()))
            print(f"{processes} processes: {seconds:.0f} s, {len(weights(store))} networks, {left} lock files left")
            print(*(f"  {counted(one)}" for one in said), sep="\n", flush=True)
        print("the same bits:", weights(stores[1]) == weights(stores[given.processes]))


if __name__ == "__main__":
    main()
