"""RMIA, robust membership inference (Zarifzadeh, Liu and Shokri, ICML 2024, arXiv:2312.03262).

score = share of z with  r(x) > log gamma + r(z)  (strictly),  r = log p(x | target) - log p(x)

r is the log ratio of the true class' probability at temperature T under the target to that under a model drawn anew:
online, the mean over IN and OUT references alike; offline, the mean over IN is guessed from OUT by a. z runs over the
population, records known to be outside the target and in no reference; without one it runs over the scored records,
members among them, which tells records apart all the same. In both, r(z) is offline where z has no IN references.
Defaults: T and gamma of the paper's experiments, a of its CIFAR-10. Records with the same count are ranked on by
r(x), below one count. Differs from the paper's code: plain softmax in place of a Taylor softmax with margin, one query
a record, all references' means untrimmed, a not tuned; and by sorting in place of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from miabench.attacks._counts import below_one
from miabench.attacks._log_ratio import log_ratio
from miabench.attacks._references import OnlineAttack, in_of
from numpy.typing import NDArray

from miabench import Field, Observed, Probe, TrueProbability


class RMIA(OnlineAttack, frozen=True):
    """Members' true classes are likelier under the target than others', each compared with reference models."""

    temperature: float = Field(2.0, gt=0, description="T: logits are divided by it")
    gamma: float = Field(2.0, gt=0, description="γ: how many times the ratio of z must be exceeded")
    offline_a: float = Field(0.3, ge=0, le=1, description="a: offline, the mean over IN is a * (mean over OUT) + 1 - a")

    def probes(self) -> tuple[Probe, ...]:
        """The true class' probability."""
        return (TrueProbability(temperature=self.temperature),)

    def score(self, target: Observed, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Shares (N,), 0 to 1."""
        z = target if target.population is None else target.population
        online = self.online(target)
        x_ratio = log_ratio(target, self.temperature, self.offline_a, online)
        z_ratio = log_ratio(z, self.temperature, self.offline_a, online and bool(in_of(z).any()))
        beaten = np.searchsorted(np.sort(math.log(self.gamma) + z_ratio), x_ratio, side="left")
        share: NDArray[np.float64] = (beaten + below_one(x_ratio)) / len(z)
        return share
