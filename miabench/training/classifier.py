"""The form of every network: an encoder and a head."""

from __future__ import annotations

from torch import Tensor, nn


class Classifier(nn.Module):
    """A classifier that also answers its features: `net(x) -> (logits, features)`.

    Nothing in it works in place: the hooks of Opacus forbid it, and features must stay what they were.

    Args:
        encoder: x (N, ...) -> features (N, D).
        head: features (N, D) -> logits (N, C).
        feature_dim: D; what center losses see.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, C) and features (N, D)."""
        features = self.encoder(x)
        return self.head(features), features
