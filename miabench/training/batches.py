"""The batches of one pass: which records stand in which, and in what order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import torch
from torch import Tensor

DRAWS_AT_ONCE = 2**26  # of Poisson batches, a byte each

How: TypeAlias = Literal["shuffle", "poisson", "in-order"]


def batches(ids: Tensor, size: int, how: How, generator: torch.Generator) -> Iterator[Tensor]:
    """Pool rows of one batch after another, for one pass over `ids`.

    `"poisson"` includes every record in every batch with probability size / n, so batches vary in size and may be
    empty. Otherwise a last batch of one record joins the one before (BatchNorm needs two).

    Args:
        ids: pool rows (n,), on the device.
        size: records in a batch.
        how: in random order, at random, or as they stand.
        generator: what chance is drawn from, on the device.
    """
    n = len(ids)
    if how == "poisson":
        yield from _poisson(ids, size / n, max(1, round(n / size)), generator)
        return
    if how == "shuffle":
        ids = ids[torch.randperm(n, generator=generator, device=ids.device)]
    ends = list(range(size, n, size))
    if ends and n - ends[-1] == 1:
        ends.pop()
    yield from (ids[a:b] for a, b in zip([0, *ends], [*ends, n], strict=True))


def _poisson(ids: Tensor, rate: float, count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches that hold each record with a probability; many are drawn at once, as their sizes wait for the device."""
    n = len(ids)
    at_once = max(1, DRAWS_AT_ONCE // n)
    for first in range(0, count, at_once):
        steps = range(first, min(first + at_once, count))
        drawn = torch.stack([torch.rand(n, generator=generator, device=ids.device) < rate for _ in steps])
        sizes = drawn.sum(1).tolist()
        yield from torch.split(ids[drawn.nonzero()[:, 1]], sizes)
