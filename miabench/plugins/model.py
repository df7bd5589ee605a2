"""What a model is: an architecture for records of some domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miabench.plugins.base import Plugin

if TYPE_CHECKING:
    from miabench.data.pool import Domain
    from miabench.training.classifier import Classifier


class Model(Plugin, frozen=True):
    """An architecture. Fields are its arguments."""

    def unsupported(self, domain: Domain) -> str | None:
        """Why this model cannot take such records, or None."""
        return None

    def build(self, domain: Domain) -> Classifier:
        """A freshly initialised network; initial weights come from torch's global generator, which is seeded."""
        raise NotImplementedError(f"{type(self).__name__} does not override build")
