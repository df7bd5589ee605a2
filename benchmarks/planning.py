"""CPU seconds to plan 10,000 jobs on a pool of 60,000 records, and to look at what became of them.

    python benchmarks/planning.py [--protocol disjoint] [--jobs 1250 2500 5000 10000] [--records 60000] [--json]

Plans settings of `relaxloss` under five black-box attacks, `lira` and `grad-x`, nothing of which is ever trained; then
a manifest is put where each artifact would be, so that everything counts as done. Every number of jobs is measured in a
process of its own: `first` plans into an empty store, `again` into the full one; `run` is what a run of the finished
experiment does beyond planning; `status` counts the jobs that the store lists. Importing and decoding the records,
which no job adds to, stand apart.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

RUNS = 5
SHADOWS = 5
MODELS = 16  # under protocol pool
ATTACKS = ["entropy", "m-entropy", "confidence", "loss", "nn", {"name": "lira", "mode": "offline"}, "grad-x"]
JOBS = (1250, 2500, 5000, 10_000)
FEATURES = 64

T = TypeVar("T")


def experiment(path: Path, protocol: str, cells: int) -> dict[str, Any]:
    """`ce` and settings of `relaxloss`."""
    sizes = {"runs": RUNS, "shadows": SHADOWS} if protocol == "disjoint" else {"models": MODELS, "shadows": 4}
    return {
        "name": "planning",
        "dataset": {"name": "table", "path": str(path)},
        "model": "mlp",
        "defense": ["ce", {"name": "relaxloss", "alpha": [round(0.001 * i, 3) for i in range(1, cells)]}],
        "attacks": ATTACKS,
        "protocol": protocol,
        "device": "cpu",
        **sizes,
    }


def write_pool(path: Path, records: int) -> None:
    """A table of random numbers."""
    import numpy as np

    random = np.random.default_rng(0)
    np.savez(path, x=random.normal(size=(records, FEATURES)).astype(np.float32), y=random.integers(10, size=records))


class Clock:
    """CPU seconds of this process by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, part: str, call: Callable[[], T]) -> T:
        """What a call gives."""
        begun = time.process_time()
        made = call()
        self.seconds[part] = time.process_time() - begun
        return made


def measure(folder: Path, protocol: str, cells: int) -> dict[str, Any]:
    """Seconds by part in this process."""
    clock = Clock()
    clock.time("imports", lambda: (import_module("miabench.jobs.stages"), import_module("miabench.data.pool")))
    from miabench.experiment.load import load_experiment
    from miabench.jobs.executors.base import Event
    from miabench.jobs.plan import Paths, make_plan
    from miabench.jobs.stages import ExecutorConfig, run_stages
    from miabench.jobs.status import status
    from miabench.plugins.discover import discover
    from miabench.results.job_list import JobList
    from miabench.store.store import Store

    def refuse(event: Event) -> None:
        raise AssertionError(f"{event.job.label} was to be done")

    given = experiment(folder / "pool.npz", protocol, cells)
    wanted = clock.time("experiment", lambda: load_experiment(given))
    dataset = discover().get("dataset", "table").build({"path": str(folder / "pool.npz")})
    clock.time("records", lambda: dataset.pool(folder).identity)
    paths = Paths(folder / f"store-{protocol}-{cells}", folder)
    plan = clock.time("first", lambda: make_plan(wanted, paths))
    for job in plan.jobs.values():
        for ref in job.gives:
            fake(paths.store / ref.kind / ref.key)
    plan = clock.time("again", lambda: make_plan(wanted, paths))
    outcome = clock.time("run", lambda: run_stages(plan, ("train", "attack"), ExecutorConfig(), refuse))
    store = Store(paths.store)
    listed = clock.time("job list", lambda: JobList.load(store, wanted))
    assert listed is not None
    assert outcome.stored == len(listed.jobs)
    assert clock.time("status", lambda: status(listed.jobs, store)).complete
    return {"protocol": protocol, "cells": cells, "jobs": len(plan.jobs), "seconds": clock.seconds}


def fake(folder: Path) -> None:
    """What stands for an artifact until it is read."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").touch()


def jobs_per_cell(protocol: str) -> int:
    """Trainings, observations (logits, log odds, `grad-x`), attacks, metrics."""
    runs = RUNS if protocol == "disjoint" else MODELS
    networks = RUNS * (1 + SHADOWS) if protocol == "disjoint" else MODELS
    return 4 * networks + runs * (2 * len(ATTACKS) + 1)


def main() -> None:
    """Print a line for every number of jobs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=("disjoint", "pool"), default="disjoint")
    parser.add_argument("--jobs", type=int, nargs="+", default=JOBS)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary, get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        folder = Path(temporary)
        processes.apply(write_pool, (folder / "pool.npz", given.records))
        cells = [max(1, jobs // jobs_per_cell(given.protocol)) for jobs in given.jobs]
        measured = [processes.apply(measure, (folder, given.protocol, count)) for count in cells]
        about = processes.apply(machine)
    if given.json:
        print(json.dumps({"records": given.records, **about, "measured": measured}, indent=1))
        return
    print(f"{given.protocol}, {given.records:,} records; CPU seconds; {about}")
    for one in measured:
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in one["seconds"].items())
        print(f"{one['jobs']:6,} jobs, {one['cells']} cells: {parts}", flush=True)


def machine() -> dict[str, Any]:
    """What the seconds hold for."""
    import torch

    from miabench.jobs.machine import environment

    return environment(torch.device("cpu"))["environment"] | {"cores": os.cpu_count()}


if __name__ == "__main__":
    main()
