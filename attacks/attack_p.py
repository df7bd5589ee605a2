"""Attack P (Ye et al., CCS 2022, arXiv:2111.09679): records known to be outside set the threshold of each class.

score = (1 + number of the class' population records whose loss is above x's) / (2 + number of them)

1 - score is the smoothed p-value of "x is no member": the share of records outside the target's training with as low a
loss. The paper calls x a member at error alpha where it is at most alpha. Records with equal shares are ranked on by
the log odds of the true class, which the loss falls with. Differs from the paper, whose threshold is one for all
classes: here that is what a class without population records takes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from miabench.attacks._counts import smoothed_share

from miabench import Attack, LogOdds, Observed, Probe, Scores, State, UserError


class AttackP(Attack, frozen=True):
    """Members have a lower loss than most records of their class that the target never saw."""

    population: ClassVar[bool | Literal["needed"]] = "needed"

    def probes(self) -> tuple[Probe, ...]:
        """The log odds of the true class."""
        return (LogOdds(),)

    def score(self, target: Observed, state: State) -> Scores:
        """Smoothed shares (N,), 0 to 1.

        Raises:
            UserError: there is no population.
        """
        outside = target.population
        if not outside:
            raise UserError("attack-p compares with records known to be outside the training, but there are none")
        phi = target[LogOdds()]
        count, n = np.empty(len(phi)), np.empty(len(phi))
        everyone = np.sort(outside[LogOdds()])
        for label in np.unique(target.labels):
            of_class = np.sort(outside[LogOdds()][outside.labels == label])
            compared = of_class if len(of_class) else everyone
            rows = target.labels == label
            count[rows], n[rows] = np.searchsorted(compared, phi[rows], side="left"), len(compared)
        return smoothed_share(count, n, len(outside), phi)
