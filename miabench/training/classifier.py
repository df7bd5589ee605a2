"""The form of every network: an encoder and a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PIECE = 1024  # records evaluated at once: another number changes the last bits of answers, and of what they teach


class Classifier(nn.Module):
    """A classifier that also answers its features: `net(x) -> (logits, features)`.

    Nothing in it works in place: the hooks of Opacus forbid it, and features must stay what they were.

    Args:
        encoder: x (N, ...) -> features (N, D).
        head: features (N, D) -> logits (N, C).
        feature_dim: D; what center losses see.

    Attributes:
        products: type in which the encoder's and the head's products are computed, weights and answers being float32;
            None: that of the weights.
    """

    products: torch.dtype | None = None

    def __init__(self, encoder: nn.Module, head: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, C) and features (N, D)."""
        if self.products is None:
            features = self.encoder(x)
            return self.head(features), features
        with torch.autocast(x.device.type, self.products):
            features = self.encoder(x)
            logits = self.head(features)
        return logits.float(), features.float()


@torch.no_grad()
def evaluate(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, C) and features (n, D) of inputs x (n, ...) in eval mode, piece by piece, without gradients.

    The network is left in the mode that it was in.
    """
    training = net.training
    net.eval()
    logits, features = zip(*(net(piece) for piece in torch.split(x, PIECE)), strict=True)
    net.train(training)
    return torch.cat(logits), torch.cat(features)
