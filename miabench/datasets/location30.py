"""Location30: check-ins of 5,010 users in Bangkok, 446 binary features, 30 classes (clusters of users).

Made from Foursquare check-ins (Yang et al., 2016) by Shokri et al., "Membership inference attacks against machine
learning models" (IEEE S&P 2017, arXiv:1610.05820, section 6.1) and published in the repository
privacytrustlab/datasets. The file is `bangkok`, plain text or packed in a .tgz: one user a line, the class "1" to "30"
in quotes, then 446 fields 0 or 1. Without `path` the published .tgz is downloaded once. Inputs are float32 zeros and
ones, not normalised.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Field, Schedule
from miabench.datasets._binary_rows import labelled_bits, published

RECORDS, FEATURES, CLASSES = 5010, 446, 30
NAMES = tuple(str(label) for label in range(1, CLASSES + 1))


class Location30(Dataset, frozen=True):
    """Where people in Bangkok go, by cluster of users."""

    schedule: ClassVar[Schedule] = Schedule(epochs=100, lr=0.05, milestones={50: 0.005, 75: 0.0005})

    path: Path | None = Field(None, description="the published .tgz or the text file in it; None: download it once")

    def load(self, root: Path) -> Data:
        """The pool, in the file's order.

        Raises:
            UserError: naming the file, and the line that is wrong; or, without network, what to put where.
        """
        classes = {f'"{name}"'.encode(): label for label, name in enumerate(NAMES)}
        with published("dataset_location.tgz", self.path, root / "location30") as file:
            x, y = labelled_bits(file, "bangkok", (RECORDS, FEATURES), classes)
        where = [f"{file}, line {row + 1}" for row in range(RECORDS)]
        return Data(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y), NAMES, where=where)
