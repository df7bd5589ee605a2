"""One network, trained and served."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The shared loop, where plugins have always found it; loaded when asked for, as it needs torch."""
    if name == "train_with_criterion":
        from miabench.training.loop import train_with_criterion

        return train_with_criterion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
