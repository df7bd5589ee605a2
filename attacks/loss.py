"""Loss (Yeom et al., IEEE CSF 2018, arXiv:1709.01604): members have the lower cross entropy.

CE = -log p_y = log(1 + exp(-score)),  score = z_y - logsumexp_{i != y} z_i,  z = logits

The paper ranks by -CE. The score is a strictly increasing function of it, so AUC and every threshold's decisions
are the same, but records whose loss rounds to 0 are not tied. Differs from the paper: its threshold is the mean
training loss; ours are learnt on shadow models. `confidence` ranks by the same number; both names are here because
the literature reports both, and their results are equal.
"""

from __future__ import annotations

from miabench import Attack, Logits, Observed, Scores, State
from miabench.logprob import log_odds


class Loss(Attack, frozen=True):
    """Members have the lower loss."""

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of the true class (N,): -log(exp(CE) - 1)."""
        return log_odds(target[Logits()], target.labels)
