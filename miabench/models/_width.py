"""Narrower and wider forms of the convolutional models."""

from __future__ import annotations

from collections.abc import Iterable


def scaled(channels: Iterable[int], width: float) -> list[int]:
    """Numbers of channels times a width, rounded, at least 1."""
    return [max(1, round(count * width)) for count in channels]
