"""How fast networks train on a GPU, beside the bare loop, a DataLoader's and what the hardware could do.

    python benchmarks/gpu.py                                        # networks
    python benchmarks/gpu.py --path cifar10-jpeg.tar.xz             # and hours for every preset on images
    python benchmarks/gpu.py --device cpu --steps 1 --models cnn # to see it work

Random images of CIFAR's form and size, batches of the paper's schedules. For every network and precision, images a
second in training, of one process in turns, the best of each:

    ours       the engine, as `miabench train` runs it: most steps are replayed CUDA graphs
    written    the same with every step launched kernel by kernel
    bare       the same steps by hand, records on the device, in the faster of two memory layouts
    loader     the usual way: a DataLoader in the main process (num_workers = 0) and a copy to the device for a batch
    roofline   what matrix products of that precision reach here, over the operations of a step (three times forwards)

Hours are what a preset's dry run measures on this machine, its answers and attacks not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _common import parser, show
from torch import Tensor, nn
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
BATCHES = {"resnet18": 256, "vgg11": 256, "densenet121": 32, "googlenet": 256}
PRECISIONS = ("float32", "tf32", "bf16")
TURNS = 2


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

    def ours(self, capturable: bool) -> None:
        """An epoch through a task."""
        made = TaskConfig(
            build=self.build,
            num_classes=CLASSES,
            ids={"train": torch.arange(len(self.data))},
            given={},
            schedule=Schedule(epochs=1, batch_size=self.batch),
            seed=0,
            device=self.device,
            dtype=DTYPES[self.precision],
            capturable=capturable,
        )
        self.defense.fit(Task(made, self.x, self.y))

    def bare(self, layout: torch.memory_format) -> None:
        """An epoch by hand, of records on the device."""
        net, step = self._by_hand(layout)
        for ids in torch.randperm(len(self.x), device=self.device).split(self.batch):
            step(net, self.x[ids].contiguous(memory_format=layout), self.y[ids])

    def loader(self) -> None:
        """An epoch by a DataLoader, of records in the machine's memory."""
        net, step = self._by_hand(torch.contiguous_format)
        for x, y in DataLoader(TensorDataset(self.data.x, self.data.y), self.batch, shuffle=True, num_workers=0):
            step(net, x.to(self.device), y.to(self.device))

    def _by_hand(self, layout: torch.memory_format) -> tuple[nn.Module, Callable[[nn.Module, Tensor, Tensor], None]]:
        net = self.build().to(self.device).to(memory_format=layout).train()
        opt = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=5e-4)

        def step(net: nn.Module, x: Tensor, y: Tensor) -> None:
            loss = F.cross_entropy(net(x)[0], y)
            opt.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            opt.step()

        return net, step

    def seconds(self, run: Callable[[], object]) -> float:
        """Wall time of one epoch, until the device has done it."""
        with arithmetic(self.compute):
            self._wait()
            begun = time.perf_counter()
            run()
            self._wait()
            return time.perf_counter() - begun

    def roofline(self) -> float:
        """Images a second if nothing but products of the speed measured here had to be done."""
        net = self.build().to(self.device).train()
        with FlopCounterMode(display=False) as counted:
            net(self.x[: self.batch])
        side = 8192 if self.device.type == "cuda" else 512
        type_ = PRODUCTS.get(self.precision, DTYPES[self.precision])
        a = torch.randn(side, side, device=self.device, dtype=type_)
        quickest = min(self.seconds(lambda: a @ a) for _ in range(10))
        return 2 * side**3 / quickest / (3 * counted.get_total_flops() / self.batch)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measured(case: Case) -> dict[str, float]:
    """Images a second of every way."""
    ways: dict[str, Callable[[], None]] = {
        "ours": partial(case.ours, True),
        "written": partial(case.ours, False),
        "bare": partial(case.bare, torch.contiguous_format),
        "bare, channels last": partial(case.bare, torch.channels_last),
        "loader": case.loader,
    }
    turns = [{name: case.seconds(run) for name, run in ways.items()} for _ in range(TURNS + 1)][1:]
    found = {name: len(case.data) / min(turn[name] for turn in turns) for name in ways}
    found["bare"] = max(found["bare"], found.pop("bare, channels last"))
    found["roofline"] = case.roofline()
    return found | {f"ours / {name}": found["ours"] / speed for name, speed in found.items() if name != "ours"}


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
    options.add_argument("--path", help="an archive of CIFAR's images in class folders, for hours of presets")
    given = options.parse_args()
    rows = [
        {"network": model, "precision": precision, **measured(Case(model, precision, given))}
        for model in given.models
        for precision in PRECISIONS
    ]
    show(f"Training, epochs of {given.steps} steps, images a second", rows, given.json, given.device)
    if given.path:
        rows = [{"preset": preset, "h": value} for preset, value in hours(given.path, given.device).items()]
        show("Hours of presets, one training at a time", rows, given.json, given.device)


if __name__ == "__main__":
    main()
