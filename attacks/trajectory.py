"""Loss trajectory (Liu et al., CCS 2022, arXiv:2208.14933; "TrajectoryMIA"), learnt on shadow models.

The attacker distils a copy of the model on records that the model did not train on: the copy's losses on a record,
epoch by epoch, stand for those that the model's own training went through, which nobody outside saw.

input   = (l_1, ..., l_T, l),  l_t = -log p_y of the copy after its t-th snapshot,  l = -log p_y of the model itself,
          each less its mean over the shadows' records, over its standard deviation
network = that of the nn attack, trained to tell members (1) from non-members (0) on the records of all shadow models,
          of which each has a copy of its own
score   = o_1 - o_0, the log odds of softmax(o)_1, dropout off

The copy is trained by the experiment's schedule over `epochs` of its own; after each `every`-th its answers are stored.
Differs from the paper: epochs = 100, every = 1 is the paper's, 20 and 2 the default, as each model of an experiment
gets a copy; the learning rate is the schedule's; the network is the nn attack's, and inputs are standardised for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from miabench.attacks._learns_attack_network import LearnsAttackNetwork, log_odds_of_member
from numpy.typing import NDArray
from pydantic import model_validator

from miabench import Copy, Field, LogOdds, Observed, Probe, Scores, State


class Trajectory(LearnsAttackNetwork, frozen=True):
    """Members' losses fall in their own way while a copy of the model is trained."""

    epochs: int = Field(20, ge=1, description="that a copy is trained for")
    every: int = Field(2, ge=1, description="the losses are taken after every so many of them")
    tau: float = Field(1.0, gt=0, description="τ: temperature of the distillation")

    @model_validator(mode="after")
    def _there_is_one(self) -> Self:
        if self.every > self.epochs:
            raise ValueError("every must be at most epochs: the losses are taken at least once")
        return self

    def probes(self) -> tuple[Probe, ...]:
        """The log odds of the true class, from which its loss follows."""
        return (LogOdds(),)

    def requires(self) -> Mapping[str, Copy]:
        """One copy, as it is after some of its epochs."""
        snapshots = range(self.every, self.epochs + 1, self.every)
        return {"copy": Copy("copy", epochs=snapshots, schedule={"epochs": self.epochs}, tau=self.tau)}

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """The network, and mean and standard deviation (T + 1,) of its inputs.

        Raises:
            TrainingError: the network's training diverged.
        """
        x = np.concatenate([losses(shadow) for shadow in shadows])
        mean, deviation = x.mean(0), np.maximum(x.std(0), np.finfo(np.float64).tiny)
        member = np.concatenate([np.asarray(shadow.member) for shadow in shadows])
        return {"mean": mean, "deviation": deviation, **self.learn((x - mean) / deviation, member, generator)}

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of being a member (N,)."""
        learnt = dict(state)
        mean, deviation = learnt.pop("mean"), learnt.pop("deviation")
        return log_odds_of_member((losses(target) - mean) / deviation, learnt)


def losses(observed: Observed) -> NDArray[np.float64]:
    """The losses (N, T + 1) of the copy after its epochs, then of the model."""
    models = (*observed.copies["copy"], observed)
    return np.stack([np.logaddexp(0, -model[LogOdds()]) for model in models], axis=1)
