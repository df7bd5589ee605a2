"""How much the shared training loop costs above the bare minimum: the same steps written by hand.

    python benchmarks/training_loop.py

Both train the same network on the same records in one process, in turns; the ratio of medians is what to quote.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch.nn import functional as F

from miabench.data.pool import Data
from miabench.plugins.defense import Defense
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

TURNS = 7
CASES = {  # model -> (records, shape, epochs)
    "mlp": (1252, (446,), 20),
    "cnn": (512, (3, 32, 32), 1),
}


class Case(NamedTuple):
    """What is trained, and on which random records."""

    defense: Defense
    made: TaskConfig
    data: Data


def case_of(defense: str, model: str) -> Case:
    """The task of one case, and its random records."""
    n, shape, epochs = CASES[model]
    plugins = discover()
    built, architecture = plugins.get("defense", defense).build({}), plugins.get("model", model).build({})
    data = Data(torch.randn(n, *shape), torch.arange(n) % 10, tuple("abcdefghij"))
    made = TaskConfig(
        build=partial(build_network, architecture, built, data.domain),
        num_classes=data.num_classes,
        ids={"train": torch.arange(n)},
        given={},
        schedule=Schedule(epochs=epochs),
        seed=0,
        device=torch.device("cpu"),
    )
    return Case(built, made, data)


def bare(case: Case) -> None:
    """Cross entropy and SGD with nothing else."""
    data, schedule = case.data, case.made.schedule
    net = case.made.build().train()
    opt = torch.optim.SGD(net.parameters(), schedule.lr, schedule.momentum, weight_decay=schedule.weight_decay)
    for _ in range(schedule.epochs):
        for ids in torch.randperm(len(data)).split(schedule.batch_size):
            loss = F.cross_entropy(net(data.x[ids])[0], data.y[ids])
            opt.zero_grad()
            loss.backward()
            opt.step()


def ours(case: Case) -> None:
    """The same through a task."""
    case.defense.fit(Task(case.made, case.data.x, case.data.y))


def seconds(run: Callable[[Case], None], case: Case) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    run(case)
    return time.perf_counter() - begun


def main() -> None:
    """Print a line per model and defense."""
    torch.set_num_threads(1)
    for model in CASES:
        for defense in ("ce", "relaxloss", "crl"):
            case = case_of(defense, model)
            turns = [(seconds(ours, case), seconds(bare, case)) for _ in range(TURNS + 1)][1:]
            by_task, by_hand = (statistics.median(column) for column in zip(*turns, strict=True))
            print(f"{model:<5} {defense:<10} {by_task:6.3f} s, bare CE {by_hand:6.3f} s, ratio {by_task / by_hand:.2f}")


if __name__ == "__main__":
    main()
