"""What a model is: an architecture for records of some domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miabench.plugins.base import Plugin

if TYPE_CHECKING:
    from miabench.data.pool import Domain
    from miabench.training.classifier import Classifier


class Model(Plugin, frozen=True):
    """An architecture. Fields are its arguments.

    Attributes:
        channels_last: images go through its network with the channels of a pixel side by side in memory, which is
            faster for 2-D convolutions. Shapes and indices mean what they meant, and values differ in their last
            digits. Not for every network: `.view(n, -1)` after a convolution raises then (`.flatten(1)` does not),
            and 3-D convolutions have no such layout. Raise `version` with it.
        capturable: a GPU may record one step of its training and replay it, which is faster where networks are small or
            have many layers, and changes no bit. Its network must do the same operations on every batch of a size:
            no choice by values (`torch.where` is none), no chance but torch's, nothing kept but in buffers that are
            changed in place.
    """

    channels_last: ClassVar[bool] = False
    capturable: ClassVar[bool] = False

    def unsupported(self, domain: Domain) -> str | None:
        """Why this model cannot take such records, or None."""
        return None

    def build(self, domain: Domain) -> Classifier:
        """A freshly initialised network; initial weights come from torch's global generator, which is seeded."""
        raise NotImplementedError(f"{type(self).__name__} does not override build")
