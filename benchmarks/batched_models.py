"""Many small models at once: is it worth training a cell's `mlp`s as one, by batched matrix products?

    python benchmarks/batched_models.py [--models 8] [--turns 5] [--json]

Trains the same networks by the barest loop twice: one after another, and together, where every layer is one product
over the models (torch.baddbmm) and the parameters of all of them are one tensor that SGD steps on. Cross entropy, one
epoch. Sizes: the default experiment's `bits` and Location30 with the default width of `mlp`, and narrower ones.

It is not built. On two cores of an AMD EPYC, 8 models: 3.5 times as fast at width 16, 1.6 at the default experiment's,
1.1 at Location30's: where networks have the size that attacks are studied on, the products take the time. And under
protocol `pool`, the default's, every model has its own number of members, so batches do not line up; each defense's
loss would have to be one over several models; failures, checkpoints and snapshots would have to be taken apart again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from _common import in_turns, parser, ratio, show
from torch import Tensor
from torch.nn import functional as F

LR, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


class Size(NamedTuple):
    """Of each model: members, batch, and the widths from input to output."""

    what: str
    members: int
    batch: int
    widths: tuple[int, ...]


SIZES = (
    Size("bits, width 16", 1080, 64, (100, 16, 20)),
    Size("bits, width 64", 1080, 64, (100, 64, 20)),
    Size("bits, as by default", 1080, 64, (100, 256, 20)),
    Size("location30, width 64", 1252, 128, (446, 64, 30)),
    Size("location30, as by default", 1252, 128, (446, 256, 30)),
)


def parameters(size: Size, models: int) -> list[Tensor]:
    """Weights (M, in, out) and biases (M, 1, out) of every layer, as leaves."""
    made = []
    for ins, outs in zip(size.widths, size.widths[1:], strict=False):
        made += [torch.empty(models, ins, outs).uniform_(-(ins**-0.5), ins**-0.5), torch.zeros(models, 1, outs)]
    return [part.requires_grad_() for part in made]


def epoch(x: Tensor, y: Tensor, size: Size, own: list[Tensor]) -> None:
    """One epoch of M models, each on its own records: x (M, n, in), y (M, n)."""
    velocity = [torch.zeros_like(part) for part in own]
    models = torch.arange(len(x))[:, None]
    order = torch.stack([torch.randperm(x.shape[1]) for _ in x])
    for ids in order.split(size.batch, 1):
        values = x[models, ids]
        for i in range(0, len(own), 2):
            values = torch.baddbmm(own[i + 1], values, own[i])
            values = values.relu() if i < len(own) - 2 else values
        loss = F.cross_entropy(values.flatten(0, 1), y[models, ids].flatten(), reduction="sum") / ids.shape[1]
        step(torch.autograd.grad(loss, own), own, velocity)


def alone(x: Tensor, y: Tensor, size: Size, own: list[Tensor]) -> None:
    """One epoch of one model: x (n, in), y (n,)."""
    velocity = [torch.zeros_like(part) for part in own]
    for ids in torch.randperm(len(x)).split(size.batch):
        values = x[ids]
        for i in range(0, len(own), 2):
            values = torch.addmm(own[i + 1], values, own[i])
            values = values.relu() if i < len(own) - 2 else values
        step(torch.autograd.grad(F.cross_entropy(values, y[ids]), own), own, velocity)


@torch.no_grad()
def step(gradient: tuple[Tensor, ...], own: list[Tensor], velocity: list[Tensor]) -> None:
    """SGD, in place."""
    torch._foreach_mul_(velocity, MOMENTUM)
    torch._foreach_add_(velocity, gradient)
    torch._foreach_add_(velocity, own, alpha=WEIGHT_DECAY)
    torch._foreach_sub_(own, velocity, alpha=LR)


def ways(size: Size, models: int) -> dict[str, Callable[[], Any]]:
    """The same models one after another, and together."""
    x, y = torch.randn(models, size.members, size.widths[0]), torch.randint(size.widths[-1], (models, size.members))
    together = parameters(size, models)
    single = [[part[m].squeeze(0).detach().clone().requires_grad_() for part in together] for m in range(models)]

    def one_by_one() -> None:
        for m in range(models):
            alone(x[m], y[m], size, single[m])

    return {"alone": one_by_one, "together": partial(epoch, x, y, size, together)}


def main() -> None:
    """Print a line for each size."""
    options = parser(__doc__)
    options.add_argument("--models", type=int, default=8)
    options.add_argument("--turns", type=int, default=5)
    given = options.parse_args()
    torch.set_num_threads(1)
    rows = []
    for size in SIZES:
        found = in_turns(ways(size, given.models), given.turns + 1)
        separate, joint = ([one.cpu for one in found[way][1:]] for way in ("alone", "together"))
        rows.append(
            {
                "size": size.what,
                "alone s": min(separate),
                "together s": min(joint),
                "alone / together": ratio(joint, separate),
            }
        )
    show(f"{given.models} models, one epoch; CPU seconds", rows, given.json)


if __name__ == "__main__":
    main()
