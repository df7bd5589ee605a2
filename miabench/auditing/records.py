"""The records that a user's network is asked about: tensors, DataLoaders, Datasets, or a file of arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from miabench.errors import UserError, nearest
from miabench.files.npz import open_npz

AT_ONCE = 512  # records taken from a Dataset

Arrays: TypeAlias = "tuple[Any, Any]"  # inputs (N, ...) and classes (N,): tensors or NumPy arrays
Records: TypeAlias = "Arrays | Dataset[Any] | Iterable[Any] | str | Path"


def read_records(given: Records, name: str) -> tuple[Tensor, Tensor]:
    """Inputs (N, ...) and classes (N,) as they are given.

    Args:
        given: a pair of tensors or arrays, a DataLoader (any batches of pairs), a Dataset of pairs, or an npz of the
            arrays `x` and `labels`.
        name: for error messages.

    Raises:
        UserError: they are none of these.
    """
    if isinstance(given, (str, Path)):
        x, y = _from_npz(Path(given))
    elif isinstance(given, (tuple, list)) and len(given) == 2 and all(hasattr(part, "shape") for part in given):
        x, y = (torch.as_tensor(part) for part in given)
    else:
        x, y = _from_batches(DataLoader(given, AT_ONCE) if isinstance(given, Dataset) else given, name)
    if y.shape != (len(x),) or y.is_floating_point() or y.is_complex():
        raise UserError(
            f"{name}: labels have shape {tuple(y.shape)} and type {y.dtype}; expected {len(x)} whole numbers, a class "
            "for each record"
        )
    if x.is_floating_point() and not x.isfinite().all():
        raise UserError(f"{name}: inputs hold values that are not finite numbers")
    return x.detach().cpu(), y.detach().cpu().long()


def _from_npz(path: Path) -> tuple[Tensor, Tensor]:
    with open_npz(path) as file:
        for wanted in ("x", "labels"):
            if wanted not in file.files:
                raise UserError(
                    f"{path} has no array {wanted!r}{nearest(wanted, file.files)}; with --model a file holds the "
                    "network's inputs x (N, ...) and labels (N,)"
                )
        arrays = file["x"], file["labels"]
    for array, name in zip(arrays, ("x", "labels"), strict=True):
        if array.dtype.kind not in "biuf" or not array.ndim:
            raise UserError(f"{path}: {name} has type {array.dtype} and shape {array.shape}; expected numbers")
    x, labels = arrays
    whole = labels.astype(np.int64) if (labels == np.floor(labels)).all() else labels
    return torch.from_numpy(np.array(x)), torch.from_numpy(np.array(whole))


def _from_batches(batches: Any, name: str) -> tuple[Tensor, Tensor]:
    xs, ys = [], []
    try:
        for batch in batches:
            x, y = batch
            xs.append(torch.as_tensor(x))
            ys.append(torch.as_tensor(y))
    except (TypeError, ValueError):
        raise UserError(
            f"{name}: expected a pair of tensors (x, y), or a DataLoader or Dataset that gives such pairs; "
            f"it is {type(batches).__name__}"
        ) from None
    if not xs:
        raise UserError(f"{name} holds no records")
    return torch.cat(xs), torch.cat(ys)
