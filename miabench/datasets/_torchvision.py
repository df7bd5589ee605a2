"""Image datasets that torchvision reads: fetched from its addresses, checked against its checksums, decoded once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from miabench.files.archive import contents
from miabench.files.array_cache import Arrays, cached_arrays
from miabench.files.download import Remote, download

SCALE = 1 / 255


def decoded_once(remotes: Sequence[Remote], folder: Path, decode: Callable[[Sequence[Path], Path], Arrays]) -> Arrays:
    """What `decode` makes of published files, kept beside them under their checksums.

    Args:
        remotes: with checksums.
        folder: of the files, of this dataset only.
        decode: is given the files, and a temporary folder in which to unpack what torchvision reads.
    """

    def compute() -> Arrays:
        files = download(remotes, folder)
        # Named so that what a killed process leaves is removed with other leftovers.
        with tempfile.TemporaryDirectory(".tmp", f".{os.getpid()}-", folder) as unpacked:
            return decode(files, Path(unpacked))

    key = "-".join(str(remote.md5)[:8] for remote in remotes)
    return cached_arrays(folder / f"decoded-{key}", compute)


def cifar(published: Any, folder: Path) -> Arrays:
    """Arrays x (N, 3, 32, 32), y (N,) and class_names (C,) of CIFAR-10 or CIFAR-100, train part first.

    Args:
        published: torchvision's class.
        folder: of this dataset only.

    Raises:
        UserError: no network or a wrong checksum, with what to put where.
    """

    def decode(files: Sequence[Path], unpacked: Path) -> Arrays:
        # Unpacked here, torchvision compares each file with its checksum before it unpickles it.
        (unpacked / published.base_folder).mkdir()
        for name, content in contents(files[0], lambda name: name.startswith(f"{published.base_folder}/")):
            (unpacked / published.base_folder / Path(name).name).write_bytes(content)
        parts = [published(unpacked, train=train) for train in (True, False)]
        return {
            "x": np.concatenate([part.data.transpose(0, 3, 1, 2) for part in parts]),
            "y": np.concatenate([np.array(part.targets, dtype=np.int64) for part in parts]),
            "class_names": np.array(parts[0].classes),
        }

    return decoded_once([Remote(published.url, published.tgz_md5)], folder, decode)


def per_channel(*values: float) -> Tensor:
    """A constant for each channel, as `Data` wants it: (channels, 1, 1), float64."""
    return torch.tensor(values, dtype=torch.float64)[:, None, None]
