"""The batches of one pass: which records stand in which, and in what order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import torch
from torch import Tensor

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
        for _ in range(max(1, round(n / size))):
            draw = torch.rand(n, generator=generator, device=ids.device)
            yield ids[draw < size / n]
        return
    if how == "shuffle":
        ids = ids[torch.randperm(n, generator=generator, device=ids.device)]
    ends = list(range(size, n, size))
    if ends and n - ends[-1] == 1:
        ends.pop()
    yield from (ids[a:b] for a, b in zip([0, *ends], [*ends, n], strict=True))
