"""Fashion-MNIST: 70,000 grey images of clothes, 28 x 28 pixels, 10 classes.

Xiao et al., "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms" (2017,
arXiv:1708.07747), downloaded once from torchvision's addresses and checked against its checksums. Inputs are images
(1, 28, 28) of 8 bits, scaled to 0 to 1 and normalised with mean 0.2860 and standard deviation 0.3530: constants, those
of the published training part, whatever the data at hand.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Schedule
from miabench.datasets._torchvision import SCALE, decoded_once, per_channel
from miabench.files.array_cache import Arrays
from miabench.files.download import Remote

MEAN, STD = 0.2860, 0.3530


class FashionMnist(Dataset, frozen=True):
    """Clothes, shoes and bags from a shop's catalogue."""

    # as SVHN's
    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.1, milestones={10: 0.01, 30: 0.001}, batch_size=256)

    def load(self, root: Path) -> Data:
        """The pool: the 60,000 training images in the file's order, then the 10,000 test images.

        Raises:
            UserError: no network or a wrong checksum, with what to put where.
        """
        from torchvision.datasets import FashionMNIST  # slow to import, and `miabench list` needs only the fields

        def decode(files: Sequence[Path], unpacked: Path) -> Arrays:
            raw = unpacked / FashionMNIST.__name__ / "raw"  # where torchvision looks
            raw.mkdir(parents=True)
            for file in files:
                (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
            parts = [FashionMNIST(unpacked, train=train) for train in (True, False)]
            return {
                "x": np.concatenate([part.data.numpy() for part in parts])[:, None],
                "y": np.concatenate([part.targets.numpy() for part in parts]),
            }

        remotes = [Remote(FashionMNIST.mirrors[0] + name, md5) for name, md5 in FashionMNIST.resources]
        kept = decoded_once(remotes, root / "fashion-mnist", decode)
        x, y = torch.from_numpy(kept["x"]), torch.from_numpy(kept["y"])
        return Data(x, y, tuple(FashionMNIST.classes), SCALE, per_channel(MEAN), per_channel(STD))
