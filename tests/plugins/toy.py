"""A small data set: four noisy prototypes in 12 dimensions."""

import torch

from miabench import Data, Dataset


class Toy(Dataset, frozen=True):
    """`n` records."""

    n: int = 160
    seed: int = 0

    def load(self, root):
        random = torch.Generator().manual_seed(self.seed)
        y = torch.arange(self.n) % 4
        x = torch.eye(4, 12)[y] * 2 + torch.randn(self.n, 12, generator=random)
        return Data(x, y, ("a", "b", "c", "d"))
