"""Modified prediction entropy (Song and Mittal, USENIX Security 2021, arXiv:2003.10595, "Mentr").

score = -Mentr(p, y) = (1 - p_y) log p_y + sum_{i != y} p_i log(1 - p_i),  p = softmax(logits), in nats

Unlike the entropy it uses the true class: a sure but wrong answer speaks against membership. Table 1's "M-Entropy" is
this score's AUC; the thresholds per class of the paper enter our balanced accuracy. Differs from the authors' code:
computed in float64 log space without a clamp (theirs: float32 probabilities, 1e-30 inside the logarithms). Near p_y = 1
Mentr is about (1 - p_y)^2, so records are tied at 0 only where the true class leads by more than about 370 nats.
"""

from __future__ import annotations

from miabench import Attack, Logits, Observed, Scores, State
from miabench.logprob import modified_entropy


class ModifiedEntropy(Attack, frozen=True):
    """Members have the lower modified entropy."""

    def score(self, target: Observed, state: State) -> Scores:
        """-Mentr (N,), at most 0."""
        return -modified_entropy(target[Logits()], target.labels)
