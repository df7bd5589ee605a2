"""Confidence in the true class (Yeom et al., IEEE CSF 2018, arXiv:1709.01604; Song and Mittal, USENIX Security 2021).

score = log p_y - log(1 - p_y) = z_y - logsumexp_{i != y} z_i,  z = logits

The papers rank by p_y. The log odds are a strictly increasing function of it, so AUC and every threshold's decisions
are the same, but records whose p_y rounds to 1 are not tied. `loss` ranks by the same number: -log p_y is a decreasing
function of p_y. Both names are here because the literature reports both; their results are equal.
"""

from __future__ import annotations

from miabench import Attack, Logits, Observed, Scores, State
from miabench.logprob import log_odds


class Confidence(Attack, frozen=True):
    """Members' true classes get the higher probability."""

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of the true class (N,)."""
        return log_odds(target[Logits()], target.labels)
