"""CIFAR-10: 60,000 photographs of 32 x 32 pixels, 10 classes (airplane, automobile, ...).

Krizhevsky, "Learning multiple layers of features from tiny images" (2009), downloaded once from torchvision's
address and checked against its checksums. Inputs are RGB images (3, 32, 32) of 8 bits, scaled to 0 to 1 and normalised
per channel with the constants of the CRL paper's code (not taken from the data at hand); training batches are not
augmented unless `augment` asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch

from miabench import Data, Dataset, Field, Schedule
from miabench.datasets._torchvision import SCALE, cifar, per_channel

MEAN = (0.4914, 0.4822, 0.4465)  # UAI24_CRL, dataloader/data_cifar10.py
STD = (0.2023, 0.1994, 0.2010)


class Cifar10(Dataset, frozen=True):
    """Small photographs of animals and vehicles."""

    # conf/train/cifar10_resnet.yml of the CRL paper's code
    schedule: ClassVar[Schedule] = Schedule(epochs=100, lr=0.01, milestones={50: 0.001, 80: 0.0001}, batch_size=256)

    augment: Literal["none", "crop-flip"] = Field(
        "none", description="of training batches: nothing, or a random crop after padding by 4 and a random flip"
    )

    def load(self, root: Path) -> Data:
        """The pool: the 50,000 training images in the files' order, then the 10,000 test images.

        Raises:
            UserError: no network or a wrong checksum, with what to put where.
        """
        from torchvision.datasets import CIFAR10  # slow to import, and `miabench list` needs only the fields

        kept = cifar(CIFAR10, root / "cifar10")
        return Data(
            torch.from_numpy(kept["x"]),
            torch.from_numpy(kept["y"]),
            tuple(kept["class_names"].tolist()),
            SCALE,
            per_channel(*MEAN),
            per_channel(*STD),
            self.augment,
        )
