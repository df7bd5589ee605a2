"""Memory of a worker that trains `cnn` on 60,000 images of CIFAR's form in batches of 128, and then observes it.

    python benchmarks/memory.py [--images 60000] [--json]

Two processes, each from nothing: one trains the bare network on one batch over and over, which takes what torch and the
activations do; the other is a worker that does the jobs of an experiment one after another. MiB of what Linux calls
anonymous memory, which is no file's and shared by nobody: `peak` is the most that was seen every 20 ms, `held` what
stays once the job is done, `own` the peak above the bare loop's. `files` are
mapped: libraries, and the pool. Linux only.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _common import parser, show

BATCH = 128
STEPS = 20
EVERY = 0.02  # seconds
STATUS = Path("/proc/self/status")


def mib(*names: str) -> float:
    """What this process holds."""
    lines = (line.split() for line in STATUS.read_text().splitlines())
    return sum(int(words[1]) for words in lines if words[0].rstrip(":") in names) / 2**10


@contextmanager
def watched(found: dict[str, float], what: str) -> Iterator[None]:
    """Keep the most anonymous memory that is seen within the block, and what is held after it."""
    over, most = threading.Event(), [mib("RssAnon")]

    def watch() -> None:
        while not over.wait(EVERY):
            most.append(max(most[-1], mib("RssAnon")))

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    over.set()
    thread.join()
    gc.collect()
    found |= {f"{what}, peak": most[-1], f"{what}, held": mib("RssAnon")}


def write_images(root: Path, images: int) -> None:
    """What CIFAR-10 is decoded to, with random pixels."""
    import numpy as np
    from torchvision.datasets import CIFAR10

    from miabench.files.array_cache import cached_arrays

    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x": random.integers(0, 256, (images, 3, 32, 32), dtype=np.uint8),
        "y": np.arange(images) % 10,
        "class_names": np.array(list("abcdefghij")),
    }
    cached_arrays(root / "cifar10" / f"decoded-{str(CIFAR10.tgz_md5)[:8]}", lambda: arrays)


def experiment() -> dict[str, Any]:
    """One epoch of one network, its observation, one attack."""
    return {
        "name": "memory",
        "dataset": "cifar10",
        "model": "cnn",
        "defense": ["ce"],
        "attacks": ["entropy"],
        "runs": 1,
        "shadows": 0,
        "device": "cpu",
        "schedule": {"epochs": 1, "batch_size": BATCH},
    }


def bare() -> dict[str, float]:
    """Steps of the network alone on one batch."""
    import torch

    found = {"torch": mib("RssAnon")}
    from torch.nn import functional as F

    from miabench.data.pool import Domain
    from miabench.plugins.discover import discover
    from miabench.plugins.network import build_network

    plugins = discover()
    model, ce = plugins.get("model", "cnn").build({}), plugins.get("defense", "ce").build({})
    net = build_network(model, ce, Domain((3, 32, 32), 10))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    x, y = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % 10
    with watched(found, "bare loop"):
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(net(x)[0], y).backward()
            optimizer.step()
    return found


def worker(folder: Path) -> dict[str, float]:
    """The jobs of the experiment."""
    import torch  # noqa: F401

    found = {"torch": mib("RssAnon")}
    from miabench.jobs import heap
    from miabench.jobs.runner import JobRunner
    from miabench.jobs.specs import Context, Job

    context, *jobs = (folder / "jobs").read_text().splitlines()
    runner = JobRunner(Context.model_validate_json(context))
    for line in jobs:
        job = Job.model_validate_json(line)
        with watched(found, job.kind), heap.during(job.kind):
            runner.run(job, lambda record: None)
    return found | {"files": mib("RssFile")}


def plan(folder: Path) -> None:
    """The worker's context and jobs, a line each."""
    from miabench.experiment.load import load_experiment
    from miabench.jobs.plan import Paths, make_plan

    made = make_plan(load_experiment(experiment()), Paths(folder / "store", folder / "data"))
    lines = [made.context.model_dump_json(), *(job.model_dump_json() for job in made.jobs.values())]
    (folder / "jobs").write_text("\n".join(lines))


def main() -> None:
    """Print a line for every number."""
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=60_000)
    given = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory() as temporary, get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        folder = Path(temporary)
        processes.apply(write_images, (folder / "data", given.images))
        processes.apply(plan, (folder,))
        alone, found = processes.apply(bare), processes.apply(worker, (folder,))
    found = {"bare loop, peak": alone["bare loop, peak"], **found}
    for kind in ("train", "observe", "attack"):
        found[f"{kind}, own"] = found[f"{kind}, peak"] - found["bare loop, peak"]
    rows = [{"what": what, "MiB": value} for what, value in found.items()]
    show(f"Memory, {given.images:,} images, cnn, batch {BATCH}", rows, given.json)


if __name__ == "__main__":
    main()
