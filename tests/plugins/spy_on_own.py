"""An attack whose probes are asked about a model's own records only; its state is what they answered."""

import torch

from miabench import Attack, Logits, Probe


class Served(Probe, frozen=True):
    """What the API answers, asked record by record of the two parts instead of in the pool's order."""

    def observe(self, ask, x, y, noise):
        return ask(x)[0]


class Bare(Probe, frozen=True):
    """What the network itself answers."""

    sees = "network"

    def observe(self, ask, x, y, noise):
        return ask(x)[0]


class Asked(Probe, frozen=True):
    """The number and the class that the probe was given with each record."""

    def observe(self, ask, x, y, noise):
        return torch.stack([x.flatten(1).amax(1), y.to(x)], 1)


class SpyOnOwn(Attack, frozen=True):
    """Scores are the numbers."""

    access = "white-box"

    def probes(self):
        return (Logits(), Served(), Bare(), Asked())

    def fit(self, shadows, generator):
        return {
            f"{i}.{type(probe).__name__}": shadow[probe] for i, shadow in enumerate(shadows) for probe in self.probes()
        }

    def score(self, target, state):
        return target[Asked()][:, 0].astype("float64")
