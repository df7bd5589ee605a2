"""Prediction entropy (Shokri et al., S&P 2017, arXiv:1610.05820; Song and Mittal, USENIX Security 2021).

score = -H(p) = sum_i p_i log p_i,  p = softmax(logits), in nats

A model is surer of its members, whatever their labels: the true class is not used. Table 1's "Entropy" is this score's
AUC. Differs from the papers' code: computed in float64 log space without a clamp (theirs: float32 probabilities, 1e-30
inside the logarithm), so records that a float32 softmax rounds to one class are still ranked.
"""

from __future__ import annotations

from miabench import Attack, Logits, Observed, Scores, State
from miabench.logprob import entropy


class Entropy(Attack, frozen=True):
    """Members have the lower prediction entropy."""

    def score(self, target: Observed, state: State) -> Scores:
        """-H (N,), -log C to 0."""
        return -entropy(target[Logits()])
