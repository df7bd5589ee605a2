"""BASE, Bayes-approximate membership status estimation (Lassila et al., 2025, arXiv:2505.24089).

score = log p(x | target) - log p(x)

p(x | model) is the true class' probability at temperature T; p(x) is its mean over IN and OUT references alike, or,
offline, ((1 + a) * (mean over OUT) + 1 - a) / 2. The log ratio that RMIA counts with: they rank alike where T and a are
the same. Differs from LeakPro's code: where a record has unequally many IN and OUT references, both kinds still weigh
one half each. Defaults: T = 1 and a = 0.33, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from miabench.attacks._log_ratio import log_ratio
from miabench.attacks._references import OnlineAttack
from numpy.typing import NDArray

from miabench import Field, Observed, Probe, TrueProbability


class BASE(OnlineAttack, frozen=True):
    """Members' true classes are likelier under the target than under reference models."""

    temperature: float = Field(1.0, gt=0, description="T: logits are divided by it")
    offline_a: float = Field(
        0.33, ge=0, le=1, description="a: offline, the mean over IN is a * (mean over OUT) + 1 - a"
    )

    def probes(self) -> tuple[Probe, ...]:
        """The true class' probability."""
        return (TrueProbability(temperature=self.temperature),)

    def score(self, target: Observed, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Log ratios (N,)."""
        return log_ratio(target, self.temperature, self.offline_a, self.online(target))
