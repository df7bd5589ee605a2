"""Which records the image models take, in words."""

from __future__ import annotations

from miabench import Domain
from miabench.models._tokens import unless_numbers


def unless_32x32(domain: Domain) -> str | None:
    """Why records are not images of 32 x 32 with any number of channels, or None."""
    if reason := unless_numbers(domain):
        return reason
    if len(domain.shape) == 3 and domain.shape[1:] == (32, 32):
        return None
    return (
        f"it takes images of C x 32 x 32, but these records are {_words(domain)}; resize images to 32 x 32, "
        "or choose cnn (images of any size from 8 x 8) or mlp (any shape)"
    )


def unless_image(domain: Domain, smallest: int) -> str | None:
    """Why records are not images (C, H, W) with H and W of `smallest` pixels or more, or None."""
    if reason := unless_numbers(domain):
        return reason
    if len(domain.shape) == 3 and min(domain.shape[1:]) >= smallest:
        return None
    return (
        f"it takes images of C x H x W with H and W of {smallest} or more, but these records are {_words(domain)}; "
        "choose mlp (any shape)"
    )


def _words(domain: Domain) -> str:
    return " x ".join(str(size) for size in domain.shape)
