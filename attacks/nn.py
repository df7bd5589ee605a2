"""Neural network learnt on shadow models (Shokri et al., S&P 2017, arXiv:1610.05820): "NN-Based" in Table 1.

input   = concat(softmax(logits), one-hot true class), 2C wide, not sorted
network = Linear 128 - ReLU - dropout 0.2 - Linear 64 - ReLU - dropout 0.2 - Linear 64 - Linear 2, trained by cross
          entropy to tell members (1) from non-members (0) on the records of all shadow models
score   = o_1 - o_0, the log odds of softmax(o)_1, dropout off

Architecture and schedule are the CRL authors' (Fang and Kim, UAI 2024, section 5.1 and code). Their code's schedule for
ResNet18 on CIFAR-10 and for SVHN is another: lr 0.01, {50 = 0.001, 75 = 0.0001}. Differs from the code: there dropout
was presumably on when scoring, and the score was the probability, which ranks the same but rounds to 1. Records whose
softmax is the same in float64 are tied here too: the network sees nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from miabench.attacks._learns_attack_network import LearnsAttackNetwork, log_odds_of_member
from numpy.typing import NDArray

from miabench import Logits, Observed, Scores, State
from miabench.logprob import log_softmax


class NeuralNetwork(LearnsAttackNetwork, frozen=True):
    """A classifier of the target's answers, learnt on shadow models."""

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """Weights and biases of the four layers, learnt on the generator's device.

        Raises:
            TrainingError: they are not finite.
        """
        p, y, member = (
            np.concatenate(parts)
            for parts in zip(*((_softmax(one), one.labels, one.member) for one in shadows), strict=True)
        )
        return self.learn(p, member, generator, y)

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of being a member (N,)."""
        return log_odds_of_member(attack_inputs(target), state)


def attack_inputs(observed: Observed) -> NDArray[np.float64]:
    """What the network sees of each record (N, 2C)."""
    return np.concatenate([_softmax(observed), np.eye(observed.num_classes)[observed.labels]], axis=1)


def _softmax(observed: Observed) -> NDArray[np.float64]:
    return np.exp(log_softmax(observed[Logits()]))
