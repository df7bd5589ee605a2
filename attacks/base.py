"""BASE, Bayes-approximate membership status estimation (Lassila et al., 2025, arXiv:2505.24089).

online:   score = log p(x | target) - log p(x),  p(x) = (mean over IN + mean over OUT references of p(x | model)) / 2
offline:  score = log p(x | target) - a * log(mean over OUT references of p(x | model))

p(x | model) is the true class' probability at temperature T. The log ratio that `rmia` counts with: online they rank
alike where T is the same. Differs from LeakPro's code: where a record has unequally many IN and OUT references, both
kinds still weigh one half each. Defaults: T = 1 and a = 0.33, as there.
"""

from __future__ import annotations

from miabench.attacks._references import OnlineAttack
from miabench.attacks._true_probability import log, log_of_target, mean_both, mean_out

from miabench import Field, Observed, Probe, Scores, State, TrueProbability


class BASE(OnlineAttack, frozen=True):
    """Members' true classes are likelier under the target than under reference models."""

    temperature: float = Field(1.0, gt=0, description="T: logits are divided by it")
    offline_a: float = Field(0.33, ge=0, le=1, description="a: weight of log(mean over OUT) in the offline form")

    def probes(self) -> tuple[Probe, ...]:
        """The true class' probability."""
        return (TrueProbability(temperature=self.temperature),)

    def score(self, target: Observed, state: State) -> Scores:
        """Log ratios (N,)."""
        (probe,) = self.probes()
        if self.online(target):
            average = log(mean_both(target, probe))
        else:
            average = self.offline_a * log(mean_out(target, probe))
        return log_of_target(target, probe) - average
