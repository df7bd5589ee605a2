"""The inputs that a training may read and not change: all trainings of a process share them, raw."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from miabench.data.pool import Normalisation, own_rows


class Records:
    """Normalised inputs of the whole pool: `records[ids]` is a new tensor (n, ...), which its caller may change.

    `ids` is a tensor of pool rows, a mask (N,) of bool, or a slice: `records[:]` copies all. Beside these there is
    `len`, `shape` and `dtype`, as of a tensor (N, ...).

    Args:
        x: the inputs (N, ...), on the device.
        normalise: makes what networks see of raw ones; None: x is normalised. Made of each batch anew, they take the
            memory of a batch, not four times that of a pool of images.
    """

    __slots__ = ("_normalise", "_x")
    __iter__ = None

    def __init__(self, x: Tensor, normalise: Normalisation | None = None) -> None:
        self._x = x
        self._normalise = normalise

    def __getitem__(self, ids: Tensor | slice) -> Tensor:
        """Some records (n, ...), in memory of their own."""
        if self._normalise is None:
            return own_rows(self._x, ids)
        if isinstance(ids, (Tensor, slice)):
            return self._normalise(own_rows(self._x, ids))
        return own_rows(self[:], ids)  # no choice of records, such as one feature of all

    def __len__(self) -> int:
        """N, the number of records in the pool."""
        return len(self._x)

    @property
    def shape(self) -> torch.Size:
        """(N, ...)."""
        return self._x.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs: the training's precision, or int64 for tokens."""
        if self._normalise is None or self._x.dtype == torch.int64:
            return self._x.dtype
        return self._normalise.dtype

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"task.x is no tensor and has no {name!r}: task.x[ids] gives a tensor, task.x[:] all of it"
        )

    def __setitem__(self, ids: Any, values: Any) -> None:
        raise TypeError("task.x cannot be changed: task.x[ids] gives a tensor that can, a new one each time")
