"""SVHN: 99,289 house-number digits of 32 x 32 pixels, 10 classes: the published train and test parts, not `extra`.

Netzer et al., "Reading digits in natural images with unsupervised feature learning" (NIPS workshop, 2011), downloaded
once from torchvision's addresses and checked against its checksums. Inputs are RGB images (3, 32, 32) of 8 bits,
scaled to 0 to 1 and not normalised, as in the CRL paper's code. Class i is the digit i; the published files write 0
as 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Schedule
from miabench.datasets._torchvision import SCALE, decoded_once
from miabench.files.array_cache import Arrays
from miabench.files.download import Remote

PARTS = ("train", "test")


class Svhn(Dataset, frozen=True):
    """Street View house numbers."""

    # conf/train/svhn_resnet.yml of the CRL paper's code
    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.1, milestones={10: 0.01, 30: 0.001}, batch_size=256)

    def load(self, root: Path) -> Data:
        """The pool: the 73,257 training images in the file's order, then the 26,032 test images.

        Raises:
            UserError: no network or a wrong checksum, with what to put where.
        """
        from torchvision.datasets import SVHN  # slow to import, and `miabench list` needs only the fields

        def decode(files: Sequence[Path], _: Path) -> Arrays:
            parts = [SVHN(files[0].parent, split=part) for part in PARTS]
            return {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("data", "labels")}

        remotes = [Remote(url, md5) for url, _, md5 in map(SVHN.split_list.get, PARTS)]
        kept = decoded_once(remotes, root / "svhn", decode)
        names = tuple(str(digit) for digit in range(10))
        return Data(torch.from_numpy(kept["data"]), torch.from_numpy(kept["labels"]), names, SCALE)
