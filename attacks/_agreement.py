"""Membership from how often a model's label survives changes to the record, weighed by what shadow models teach.

score = w . a,  a: the share of changed records classified as y, of each kind of change (F,)

w is a logistic regression of membership on a, over all records of the shadow models (scikit-learn's defaults).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from miabench import Access, Attack, Observed, Scores, State


class AgreementAttack(Attack, frozen=True):
    """Members keep their label under changes; the one probe answers shares (N, F)."""

    access: ClassVar[Access] = "label"

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """The weights (F,)."""
        from sklearn.linear_model import LogisticRegression

        (probe,) = self.probes()
        shares = np.concatenate([shadow[probe] for shadow in shadows]).astype(np.float64)
        member = np.concatenate([np.asarray(shadow.member) for shadow in shadows])
        return {"weights": LogisticRegression().fit(shares, member).coef_[0]}

    def score(self, target: Observed, state: State) -> Scores:
        """Weighted shares (N,)."""
        (probe,) = self.probes()
        shares = np.asarray(target[probe], dtype=np.float64)
        # no matrix product: the last bit of one depends on the row's place
        scores: NDArray[np.float64] = (shares * state["weights"]).sum(1)
        return scores
