"""Pins: what an attack may learn from how many references hold a record, and from the population."""

import numpy as np

from miabench import Attack, LogOdds


class Counts(Attack, frozen=True):
    """Scores by the number of references of a kind; `kind = "difference"` compares answers with those of OUT."""

    references = "in+out"
    population = True
    kind: str = "out"

    def probes(self):
        return (LogOdds(),)

    def score(self, target, state):
        assert (target.reference_in & target.reference_out).sum() == 0
        assert not target.population.reference_in.any()
        assert len(target.reference_in) % 2 == 0, "whole pairs: of a shadow neither itself nor the other of its pair"
        if self.kind == "difference":
            return target[LogOdds()] - np.where(target.reference_out, target.references[LogOdds()], 0).sum(0)
        return (target.reference_out if self.kind == "out" else target.reference_in).sum(0).astype(np.float64)
