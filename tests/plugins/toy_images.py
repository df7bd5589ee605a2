"""A small data set of RGB images of 32 x 32: two noisy colours."""

import torch

from miabench import Data, Dataset


class ToyImages(Dataset, frozen=True):
    """`n` records."""

    n: int = 24

    def load(self, root):
        random = torch.Generator().manual_seed(0)
        y = torch.arange(self.n) % 2
        x = torch.eye(2, 3)[y][:, :, None, None] + 0.3 * torch.randn(self.n, 3, 32, 32, generator=random)
        return Data(x, y, ("red", "green"))
