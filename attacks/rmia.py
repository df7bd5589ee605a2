"""RMIA, robust membership inference (Zarifzadeh, Liu and Shokri, ICML 2024, arXiv:2312.03262).

score = share of the z with  r(x) > log gamma + r(z)  (strictly),  r = log p(x | target) - log p(x)

p(x | model) is the true class' probability at temperature T. Online, p(x) is half the mean over IN references and half
that over OUT references; offline, the mean over IN is guessed to be a * (mean over OUT) + 1 - a. z runs over the
population, records known to be outside the target and in no reference; without one it runs over the scored records,
members among them, which tells records apart all the same. r(z) is offline where no z has IN references.
Equal counts are ranked on by r(x): score = (count + what grows with r(x), from 0 to 1) / (1 + number of z).
Defaults: T and gamma of the paper, a of its CIFAR-10. Differs from the paper's code: plain softmax in place
of a Taylor softmax with margin, one query a record, means untrimmed, a not tuned; by sorting in place of pairs.
"""

from __future__ import annotations

import math

import numpy as np
from miabench.attacks._counts import below_one
from miabench.attacks._references import Array, OnlineAttack, in_of
from miabench.attacks._true_probability import log, log_of_target, mean_both, mean_out

from miabench import Field, Observed, Probe, Scores, State, TrueProbability


class RMIA(OnlineAttack, frozen=True):
    """Members' true classes are likelier under the target than others', each compared with reference models."""

    temperature: float = Field(2.0, gt=0, description="T: logits are divided by it")
    gamma: float = Field(2.0, gt=0, description="γ: how many times the ratio of z must be exceeded")
    offline_a: float = Field(0.3, ge=0, le=1, description="a: offline, the mean over IN is a * (mean over OUT) + 1 - a")

    def probes(self) -> tuple[Probe, ...]:
        """The true class' probability."""
        return (TrueProbability(temperature=self.temperature),)

    def score(self, target: Observed, state: State) -> Scores:
        """Shares (N,), 0 to 1."""
        z = target.population or target  # an empty one is none
        online = self.online(target)
        x_ratio = self._log_ratio(target, online)
        z_ratio = self._log_ratio(z, online and bool(in_of(z).any()))
        beaten = np.searchsorted(np.sort(math.log(self.gamma) + z_ratio), x_ratio, side="left")
        share: Array = (beaten + below_one(x_ratio)) / (len(z) + 1)
        return share

    def _log_ratio(self, observed: Observed, online: bool) -> Array:
        """The ratio r of each record (N,)."""
        (probe,) = self.probes()
        if online:
            average = mean_both(observed, probe)
        else:
            average = ((1 + self.offline_a) * mean_out(observed, probe) + 1 - self.offline_a) / 2
        return log_of_target(observed, probe) - log(average)
