"""How much the shared training loop costs above the bare minimum: the same steps written by hand.

    python benchmarks/training_loop.py [--models mlp cnn vgg11 resnet18] [--turns 7] [--json]

Both train the same network on the same records in one process, in turns. The bare loop is cross entropy in the layout
that is faster here, of NCHW and channels last: at 0.97 ours takes 1 / 0.97 of its CPU seconds.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from _common import in_turns, parser, ratio, show
from torch.nn import functional as F

from miabench.data.pool import Data
from miabench.plugins.defense import Defense
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

CASES = {  # model -> (records, shape, epochs)
    "mlp": (1252, (446,), 20),
    "cnn": (512, (3, 32, 32), 1),
    "vgg11": (512, (3, 32, 32), 1),
    "resnet18": (128, (3, 32, 32), 1),
}
DEFENSES = ("ce", "relaxloss", "crl")
LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


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


def bare(case: Case, layout: torch.memory_format) -> None:
    """Cross entropy and SGD with nothing else."""
    data, schedule = case.data, case.made.schedule
    net = case.made.build().train()
    x = data.x
    if x.ndim == 4:
        net, x = net.to(memory_format=layout), x.contiguous(memory_format=layout)
    opt = torch.optim.SGD(net.parameters(), schedule.lr, schedule.momentum, weight_decay=schedule.weight_decay)
    for _ in range(schedule.epochs):
        for ids in torch.randperm(len(data)).split(schedule.batch_size):
            loss = F.cross_entropy(
                net(x[ids].contiguous(memory_format=layout) if x.ndim == 4 else x[ids])[0], data.y[ids]
            )
            opt.zero_grad()
            loss.backward()
            opt.step()


def ours(case: Case) -> None:
    """The same through a task."""
    case.defense.fit(Task(case.made, case.data.x, case.data.y))


def compared(model: str, turns: int) -> list[dict[str, Any]]:
    """A row for each defense: the bare loops and ours, each once a turn."""
    cases = {defense: case_of(defense, model) for defense in DEFENSES}
    ways = {defense: partial(ours, case) for defense, case in cases.items()}
    by_hand = {name: partial(bare, cases["ce"], layout) for name, layout in LAYOUTS.items()}
    found = in_turns({**by_hand, **ways}, turns + 1)
    seconds = {name: [one.cpu for one in way[1:]] for name, way in found.items()}
    best = min(LAYOUTS, key=lambda name: min(seconds[name]))
    return [
        {
            "model": model,
            "defense": defense,
            "ours CPU s": min(seconds[defense]),
            "bare ce CPU s": min(seconds[best]),
            "layout": best,
            "bare / ours": ratio(seconds[defense], seconds[best]),
        }
        for defense in DEFENSES
    ]


def main() -> None:
    """Print a line per model and defense."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    options.add_argument("--turns", type=int, default=7)
    given = options.parse_args()
    torch.set_num_threads(1)
    rows = [row for model in given.models for row in compared(model, given.turns)]
    show("Training loop against the best bare loop of cross entropy", rows, given.json)


if __name__ == "__main__":
    main()
