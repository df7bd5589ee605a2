"""Pins: everything that an attack can ask for beside the target's own answers; on two probes of one observation."""

from typing import ClassVar

import numpy as np

from miabench import Attack, FeatureNorm, LogOdds


class LooksAround(Attack, frozen=True):
    """Log odds less the references' mean, and a touch of everything else."""

    access: ClassVar = "white-box"
    references: ClassVar = "any"
    population: ClassVar = True
    inputs: ClassVar = True

    def probes(self):
        return (LogOdds(), FeatureNorm())

    def score(self, target, state):
        out = target.reference_out
        mean = (target.references[LogOdds()] * out).sum(0) / np.maximum(out.sum(0), 1)
        usual = 0.0 if target.population is None else target.population[FeatureNorm()].mean()
        norms = target[FeatureNorm()].astype(np.float64) - usual
        return target[LogOdds()] - mean + 1e-3 * norms + 1e-6 * target.inputs.sum(1)
