"""CIFAR-100: 60,000 photographs of 32 x 32 pixels, 100 classes (the `fine` labels).

Krizhevsky, "Learning multiple layers of features from tiny images" (2009), downloaded once from torchvision's
address and checked against its checksums. Inputs are RGB images (3, 32, 32) of 8 bits, scaled to 0 to 1 and normalised
per channel with the constants of the CRL paper's code (not taken from the data at hand); training batches are
augmented with random crops and flips, drawn for each record.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch

from miabench import Data, Dataset, Field, Schedule
from miabench.datasets._torchvision import SCALE, cifar, per_channel

MEAN = (0.5070, 0.4865, 0.4409)  # UAI24_CRL, dataloader/data_cifar100.py
STD = (0.2673, 0.2564, 0.2761)


class Cifar100(Dataset, frozen=True):
    """Small photographs of animals, plants, people, things."""

    # conf/train/cifar100_resnet.yml of the CRL paper's code
    schedule: ClassVar[Schedule] = Schedule(
        epochs=100, lr=0.01, milestones={1: 0.1, 50: 0.01, 80: 0.001}, batch_size=256
    )

    augment: Literal["none", "crop-flip"] = Field(
        "crop-flip", description="of training batches: nothing, or a random crop after padding by 4 and a random flip"
    )

    def load(self, root: Path) -> Data:
        """The pool: the 50,000 training images in the files' order, then the 10,000 test images.

        Raises:
            UserError: no network or a wrong checksum, with what to put where.
        """
        from torchvision.datasets import CIFAR100  # slow to import, and `miabench list` needs only the fields

        kept = cifar(CIFAR100, root / "cifar100")
        return Data(
            torch.from_numpy(kept["x"]),
            torch.from_numpy(kept["y"]),
            tuple(kept["class_names"].tolist()),
            SCALE,
            per_channel(*MEAN),
            per_channel(*STD),
            self.augment,
        )
