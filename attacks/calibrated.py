"""Difficulty calibration (Watson et al., ICLR 2022, arXiv:2111.08440, equation 3 with the loss).

score = mean over OUT references of CE(x) - CE_target(x),  CE = -log p_y = log(1 + exp(-phi)),  phi = log odds of y

A record that every model finds easy is no sign of membership. Differs from the paper: all references that did not
train on the record count, not one.
"""

from __future__ import annotations

import numpy as np
from miabench.attacks._references import ReferenceAttack, of_kind
from numpy.typing import NDArray

from miabench import LogOdds, Observed, Probe, Scores, State


class Calibrated(ReferenceAttack, frozen=True):
    """Members have a lower loss than under models that did not train on them."""

    def probes(self) -> tuple[Probe, ...]:
        """The log odds of the true class."""
        return (LogOdds(),)

    def score(self, target: Observed, state: State) -> Scores:
        """Differences of losses (N,), in nats."""
        return of_kind(target, LogOdds(), "out", _loss).mean - _loss(target[LogOdds()])


def _loss(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cross entropy of log odds."""
    loss: NDArray[np.float64] = np.logaddexp(0.0, -phi)
    return loss
