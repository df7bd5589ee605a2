"""How an attack's success is measured in a figure, and what guessing reaches by that measure."""

from __future__ import annotations

from typing import NamedTuple

from miabench.metrics.names import GUESSING, TITLES
from miabench.reports.numbers.lines import Summary


class Measure(NamedTuple):
    """A metric of attacks, in percent."""

    name: str
    guessing: float

    @classmethod
    def of(cls, summary: Summary) -> Measure:
        """The summary's metric."""
        return cls(TITLES[summary.metric], 100 * GUESSING[summary.metric])
