"""An attack in one file: members have a larger margin between the two largest logits."""

import numpy as np

from miabench import Attack, Logits


class Margin(Attack, frozen=True):
    """Top-1 minus top-2 logit."""

    def score(self, target, state):
        top = np.sort(target[Logits()].astype(np.float64), axis=1)
        return top[:, -1] - top[:, -2]
