"""Pins: what a batch has in common says nothing of membership. Scores are the mean loss of a record's batch."""

from typing import ClassVar

from torch.nn import functional as F

from miabench import Attack, Probe


class BatchMean(Attack, frozen=True):
    """Members stand in batches of a lower loss."""

    access: ClassVar = "white-box"

    def probes(self):
        return (BatchLoss(),)

    def score(self, target, state):
        return -target[BatchLoss()]


class BatchLoss(Probe, frozen=True):
    """Mean cross entropy of the batch, for each of its records: what the contract forbids."""

    sees: ClassVar = "network"

    def observe(self, ask, x, y, noise):
        return F.cross_entropy(ask(x)[0], y).double().expand(len(y)).clone()
