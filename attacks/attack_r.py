"""Attack R (Ye et al., CCS 2022, arXiv:2111.09679): reference models set each record's own threshold.

score = (1 + number of OUT references whose loss on x is above the target's) / (2 + number of OUT references)

The paper calls x a member at error alpha where the target's loss is at most the alpha-quantile of the OUT references'
losses: the score is at least about 1 - alpha. It is smoothed, since few references cannot tell a share of 0 or 1, and
records with equal shares are ranked on by the log odds of the true class, which the loss falls with. The references'
loss on a record that has none is taken to be that on the population.
"""

from __future__ import annotations

import numpy as np
from miabench.attacks._counts import smoothed_share
from miabench.attacks._references import ReferenceAttack, answers_of, out_of
from numpy.typing import NDArray

from miabench import LogOdds, Observed, Probe, Scores, State, UserError


class AttackR(ReferenceAttack, frozen=True):
    """Members have a lower loss than most models that did not train on them."""

    def probes(self) -> tuple[Probe, ...]:
        """The log odds of the true class."""
        return (LogOdds(),)

    def score(self, target: Observed, state: State) -> Scores:
        """Smoothed shares (N,), 0 to 1."""
        phi, references, out = target[LogOdds()], answers_of(target, LogOdds()), out_of(target)
        n = out.sum(0)
        above = ((references < phi) & out).sum(0)
        if not n.all():
            everyone = _all_out(target)
            above = np.where(n > 0, above, np.searchsorted(everyone, phi, side="left"))
            n = np.where(n > 0, n, len(everyone))
        return smoothed_share(above, n, int(n.max()), phi)


def _all_out(target: Observed) -> NDArray[np.float64]:
    """All answers of OUT references, sorted: to the population, or without one to all records.

    Raises:
        UserError: there are none.
    """
    among = target.population if target.population and target.population.references else target
    answers: NDArray[np.float64] = np.sort(answers_of(among, LogOdds())[out_of(among)])
    if not len(answers):
        raise UserError(
            "attack-r compares with reference models that did not train on a record, but all trained on all"
        )
    return answers
