"""How an attack's success is measured in a figure, and what guessing reaches by that measure."""

from __future__ import annotations

from typing import NamedTuple

from miabench.reports.numbers.lines import Summary
from miabench.reports.numbers.names import METRICS

GUESSING = {"auc": 50.0, "balanced_accuracy": 50.0, "balanced_accuracy_global": 50.0, "tpr@1%": 1.0, "tpr@0.1%": 0.1}


class Measure(NamedTuple):
    """A metric of attacks, in percent."""

    name: str
    guessing: float

    @classmethod
    def of(cls, summary: Summary) -> Measure:
        """The summary's metric."""
        return cls(METRICS[summary.metric], GUESSING[summary.metric])
