"""How fast networks train on a GPU, beside the bare loop, a DataLoader's and what the hardware could do.

    python benchmarks/gpu.py                                        # networks
    python benchmarks/gpu.py --path cifar10-jpeg.tar.xz             # and hours for every preset on images
    python benchmarks/gpu.py --models cnn --jobs 1 4 8              # or processes that share the GPU
    python benchmarks/gpu.py --device cpu --steps 3 --models cnn    # to see it work

Random images of CIFAR's form and size, batches of the paper's schedules. For every network and precision, images a
second in training, the best of two epochs after a first:

    ours       the engine, as `miabench train` runs it: most steps are replayed CUDA graphs
    written    the same with every step launched kernel by kernel
    bare       the same steps by hand, records on the device, in the faster of two memory layouts
    loader     the usual way: a DataLoader in the main process (num_workers = 0) and a copy to the device for a batch
    roofline   what matrix products of that precision reach here, over the operations of a step (three times forwards)

Hours are what a preset's dry run measures on this machine, its answers and attacks not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise, product
from multiprocessing import get_context
from typing import Any

import torch
from _common import parser, show
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

import miabench
from miabench.data.pool import Data
from miabench.experiment.load import presets
from miabench.jobs.arithmetic import DTYPES, PRODUCTS, arithmetic
from miabench.jobs.specs import Compute
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

CLASSES = 100
BATCHES = {"resnet18": 256, "vgg11": 256, "densenet121": 32, "googlenet": 256, "cnn": 64}
PRECISIONS = ("float32", "tf32", "bf16")
TURNS = 2
COMPANY_SECONDS = 6


class Case:
    """One network, one precision, one set of random images."""

    def __init__(self, model: str, precision: Any, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.precision = precision
        self.compute = Compute.on(options.device, precision, 1)
        self.batch = BATCHES.get(model, 128)
        records = self.batch * options.steps
        plugins = discover()
        self.defense = plugins.get("defense", "ce").build({})
        architecture = plugins.get("model", model).build({})
        images = torch.randn(records, 3, 32, 32)
        self.data = Data(images, torch.arange(records) % CLASSES, tuple(map(str, range(CLASSES))))
        self.x, self.y = self.data.x.to(self.device), self.data.y.to(self.device)
        self.build = partial(
            build_network, architecture, self.defense, self.data.domain, products=PRODUCTS.get(precision)
        )

    def ours(self, capturable: bool, enough: Callable[[list[float]], bool]) -> list[float]:
        """Epochs through a task."""
        ticks: list[float] = []

        def tick(record: dict[str, float]) -> None:
            ticks.append(self._now())
            if enough(ticks):
                raise _EnoughError

        made = TaskConfig(
            build=self.build,
            num_classes=CLASSES,
            ids={"train": torch.arange(len(self.data))},
            given={},
            schedule=Schedule(epochs=10**6, batch_size=self.batch),
            seed=0,
            device=self.device,
            dtype=DTYPES[self.precision],
            progress=tick,
            capturable=capturable,
        )
        with arithmetic(self.compute), contextlib.suppress(_EnoughError):
            self.defense.fit(Task(made, self.x, self.y))
        return ticks

    def bare(self, layout: torch.memory_format) -> list[float]:
        """Epochs by hand, of records on the device."""

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for ids in torch.randperm(len(self.x), device=self.device).split(self.batch):
                yield self.x[ids].contiguous(memory_format=layout), self.y[ids]

        return self._by_hand(layout, batches)

    def loader(self) -> list[float]:
        """Epochs by a DataLoader, of records in the machine's memory."""
        made = DataLoader(TensorDataset(self.data.x, self.data.y), self.batch, shuffle=True, num_workers=0)
        return self._by_hand(torch.contiguous_format, lambda: ((x.to(self.device), y.to(self.device)) for x, y in made))

    def _by_hand(
        self, layout: torch.memory_format, batches: Callable[[], Iterator[tuple[Tensor, Tensor]]]
    ) -> list[float]:
        net = self.build().to(self.device).to(memory_format=layout).train()
        opt = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=5e-4)
        ticks: list[float] = []
        with arithmetic(self.compute):
            while not few(ticks):
                for x, y in batches():
                    loss = F.cross_entropy(net(x)[0], y)
                    opt.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    opt.step()
                ticks.append(self._now())
        return ticks

    def roofline(self) -> float:
        """Images a second if nothing but products of the speed measured here had to be done."""
        net = self.build().to(self.device).train()
        with FlopCounterMode(display=False) as counted:
            net(self.x[: self.batch])
        side = 8192 if self.device.type == "cuda" else 512
        type_ = PRODUCTS.get(self.precision, DTYPES[self.precision])
        a = torch.randn(side, side, device=self.device, dtype=type_)
        quickest = min(self._seconds(a) for _ in range(10))
        return 2 * side**3 / quickest / (3 * counted.get_total_flops() / self.batch)

    def _seconds(self, a: Tensor) -> float:
        """Of one product."""
        with arithmetic(self.compute):
            begun = self._now()
            a @ a
            return self._now() - begun

    def _now(self) -> float:
        """The clock of all processes, once the device has done what it was asked."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()


class _EnoughError(Exception):
    """Ends a training."""


def few(ticks: list[float]) -> bool:
    """Whether the epochs that are measured are there; the first is none of them."""
    return len(ticks) > TURNS


def measured(case: Case) -> dict[str, float]:
    """Images a second of every way."""
    ways: dict[str, Callable[[], list[float]]] = {
        "ours": partial(case.ours, True, few),
        "written": partial(case.ours, False, few),
        "bare": partial(case.bare, torch.contiguous_format),
        "bare, channels last": partial(case.bare, torch.channels_last),
        "loader": case.loader,
    }
    found = {name: len(case.data) / min(b - a for a, b in pairwise(run())) for name, run in ways.items()}
    found["bare"] = max(found["bare"], found.pop("bare, channels last"))
    found["roofline"] = case.roofline()
    return found | {f"ours / {name}": found["ours"] / speed for name, speed in found.items() if name != "ours"}


def together(count: int, model: str, precision: str, options: argparse.Namespace) -> float:
    """Images a second of some processes at once, while all of them train."""
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        found = [pool.submit(_one, model, precision, options) for _ in range(count)]
        all_ticks = [one.result() for one in found]
    begin, end = max(ticks[0] for _, ticks in all_ticks), min(ticks[-1] for _, ticks in all_ticks)
    epochs = sum(sum(begin <= tick <= end for tick in ticks[1:]) for _, ticks in all_ticks)
    return all_ticks[0][0] * epochs / (end - begin)


def _one(model: str, precision: str, options: argparse.Namespace) -> tuple[int, list[float]]:
    """Records of an epoch, and when epochs ended."""
    case = Case(model, precision, options)
    return len(case.data), case.ours(True, lambda ticks: ticks[-1] - ticks[0] > COMPANY_SECONDS)


def hours(path: str, device: str) -> dict[str, float]:
    """Of every preset on images, one training at a time, by its dry run."""
    found = {}
    for name in presets():
        if name.startswith("uai24/") and name not in ("uai24/table3", "uai24/fig8"):
            made = miabench.estimate(name, dataset=["images"], set=[f"images.path={path}"], device=device)
            found[name] = sum(work.seconds for work in made.work) / 3600
    return found


def main() -> None:
    """Print a line per network and precision, and one per preset."""
    options = parser(__doc__)
    options.add_argument("--device", default="cuda")
    options.add_argument("--steps", type=int, default=60)
    options.add_argument("--models", nargs="*", default=["resnet18", "vgg11", "densenet121"])
    options.add_argument("--precisions", nargs="*", default=list(PRECISIONS))
    options.add_argument("--path", help="an archive of CIFAR's images in class folders, for hours of presets")
    options.add_argument("--jobs", type=int, nargs="*", default=[], help="processes that share the device")
    given = options.parse_args()
    cases = list(product(given.models, given.precisions))
    if given.jobs:
        rows = [
            {"network": model, "precision": precision}
            | {f"{count} jobs": together(count, model, precision, given) for count in given.jobs}
            for model, precision in cases
        ]
        show("Several processes on one device, images a second of all", rows, given.json, given.device)
    else:
        rows = []
        for model, precision in cases:
            rows.append({"network": model, "precision": precision, **measured(Case(model, precision, given))})
            print(rows[-1], file=sys.stderr)
        show(f"Training, epochs of {given.steps} steps, images a second", rows, given.json, given.device)
    if given.path:
        rows = [{"preset": preset, "h": value} for preset, value in hours(given.path, given.device).items()]
        show("Hours of presets, one training at a time", rows, given.json, given.device)


if __name__ == "__main__":
    main()
