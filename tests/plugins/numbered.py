"""Records that carry their own number: what a network or an attack was shown can be told from the inputs alone."""

from typing import Literal

import torch

from miabench import Data, Dataset

FIRST = 100.0  # the number of row 0: above every other value of an input


class Numbered(Dataset, frozen=True):
    """Row i is a table's row (or an image) whose first column (or channel) is FIRST + i; classes are drawn."""

    n: int = 96
    shape: tuple[int, ...] = (7,)
    shift: float = 0.0
    augmentation: Literal["none", "crop-flip"] = "none"
    other: tuple[int, ...] = ()

    def load(self, root):
        first, again = (torch.Generator().manual_seed(seed) for seed in (0, 1))
        x, y = self._drawn(first)
        other_x, other_y = self._drawn(again)
        rows = list(self.other)
        x[rows], y[rows] = other_x[rows], other_y[rows]
        x[:, 0] = (FIRST + torch.arange(self.n)).reshape(-1, *[1] * (len(self.shape) - 1))
        return Data(x, y, ("a", "b", "c"), mean=torch.full((1,), self.shift), augmentation=self.augmentation)

    def _drawn(self, random):
        y = torch.randint(3, (self.n,), generator=random)
        x = torch.randn(self.n, *self.shape, generator=random)
        return x + y.reshape(-1, *[1] * len(self.shape)) / 2, y
