"""L-Leaks (Li et al. 2022, arXiv:2205.06469): a substitute that learnt the model's logits tells what members look like.

The attacker distils a copy of the model on a share of its records, and keeps the others from it: of the copy, which is
more like the model than a shadow model trained by itself, it knows what is a member.

input   = (z_y, then the other logits from the largest to the smallest), C wide, less the mean over all of the copy's
          logits, over their standard deviation
network = that of the nn attack, trained on the copy's answers to tell its members (1) from the records kept from it (0)
score   = o_1 - o_0 on the model's own answers, the log odds of softmax(o)_1, dropout off

No shadow model is needed: thresholds alone are learnt on them, each scored through a copy of its own. The copy is
trained by the experiment's schedule. What the paper leaves open is ours: one copy, half of the records, the loss
(1 - w) KL(softmax(original / tau) || softmax(copy / tau)) + w CE(copy, class), by which the copy's members are members
in earnest, the network, and the order of the logits: with a one-hot class beside them, as the nn attack has, a network
must learn for each class anew what true and other classes are, for which the records of one copy are too few.
w and tau were chosen on Location30. A copy that learns logits alone (w = 0) does not fit its members as the model fits
its own: AUC 75 under protocol `disjoint`, 90 with w = 0.9 and tau = 4, where `confidence` has 86. It takes as many
records as the model has: with the 500 that a pool leaves the attacker (`population`) it stays below `confidence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from miabench.attacks._learns_attack_network import LearnsAttackNetwork, log_odds_of_member
from numpy.typing import NDArray

from miabench import Copy, Field, Logits, Observed, Scores, State, UserError


class LLeaks(LearnsAttackNetwork, frozen=True):
    """A copy of the model treats its members as the model treats its own."""

    population: ClassVar[bool | Literal["needed"]] = "needed"

    withheld_fraction: float = Field(0.5, gt=0, lt=1, description="share of the attacker's records kept from the copy")
    tau: float = Field(4.0, gt=0, description="τ: temperature of the distillation")
    label_weight: float = Field(0.9, ge=0, le=1, description="w: share of the true classes in the copy's loss")

    def requires(self) -> Mapping[str, Copy]:
        """One copy that was trained on a part of the attacker's records."""
        share, weight = self.withheld_fraction, self.label_weight
        return {"copy": Copy("copy", withheld_fraction=share, tau=self.tau, label_weight=weight)}

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of being a member (N,).

        Raises:
            TrainingError: the network's training diverged.
            UserError: there is no population.
        """
        if target.population is None:
            raise UserError("l-leaks trains a copy on records known to be outside the training, but there are none")
        (copy,) = target.population.copies["copy"]
        scale = float(copy[Logits()].mean()), float(copy[Logits()].std())
        learnt = self.learn(inputs_of(copy, *scale), np.asarray(copy.member), torch.Generator().manual_seed(0))
        return log_odds_of_member(inputs_of(target, *scale), learnt)


def inputs_of(observed: Observed, mean: float, deviation: float) -> NDArray[np.float64]:
    """What the network sees of each record (N, C)."""
    z, records = observed[Logits()].astype(np.float64), np.arange(len(observed))
    true = z[records, observed.labels]
    z[records, observed.labels] = np.inf  # the first in descending order
    ordered = np.sort(z, axis=1)[:, ::-1]
    ordered[:, 0] = true
    return (ordered - mean) / max(deviation, np.finfo(np.float64).tiny)
