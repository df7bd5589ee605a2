"""The inputs that a training may read and not change: all trainings of a process share them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Records:
    """Normalised inputs of the whole pool: `records[ids]` is a new tensor (n, ...), which its caller may change.

    `ids` is a tensor of pool rows, a mask (N,) of bool, or a slice: `records[:]` copies all. Beside these there is
    `len`, `shape` and `dtype`, as of a tensor (N, ...).

    Args:
        x: the inputs (N, ...), on the device.
    """

    __slots__ = ("_x",)
    __iter__ = None

    def __init__(self, x: Tensor) -> None:
        self._x = x

    def __getitem__(self, ids: Tensor | slice) -> Tensor:
        """Some records (n, ...), in memory of their own."""
        chosen = self._x[ids]
        shared = chosen.untyped_storage().data_ptr() == self._x.untyped_storage().data_ptr()
        return chosen.clone() if shared else chosen

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
        return self._x.dtype

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"task.x is no tensor and has no {name!r}: task.x[ids] gives a tensor, task.x[:] all of it"
        )

    def __setitem__(self, ids: Any, values: Any) -> None:
        raise TypeError("task.x cannot be changed: task.x[ids] gives a tensor that can, a new one each time")
