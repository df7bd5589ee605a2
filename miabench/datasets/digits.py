"""Digits: 1,797 handwritten digits of 8 x 8 pixels, 10 classes, embedded in scikit-learn.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI Machine Learning
Repository, 1998, doi:10.24432/C50P49). Inputs are grey images (1, 8, 8) of values 0 to 16, scaled to 0 to 1 and
normalised with the mean and standard deviation of the whole pool.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Schedule
from miabench.data.normalisation import channel_moments

SCALE = 1 / 16


class Digits(Dataset, frozen=True):
    """scikit-learn's handwritten digits."""

    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.05, milestones={20: 0.005, 30: 0.0005}, batch_size=64)

    def load(self, root: Path) -> Data:
        """The pool, in scikit-learn's order."""
        from sklearn.datasets import load_digits  # slow to import, and `miabench list` needs only the fields

        digits = load_digits()
        x = digits.images.astype(np.uint8)[:, None]  # whole numbers, stored as float64
        mean, std = map(torch.from_numpy, channel_moments(x, SCALE))
        y = torch.from_numpy(digits.target.astype(np.int64))
        names = tuple(str(name) for name in digits.target_names)
        return Data(torch.from_numpy(x), y, names, SCALE, mean, std)
