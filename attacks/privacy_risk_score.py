"""Privacy risk score (Song and Mittal, USENIX Security 2021, arXiv:2003.10595, section 5).

score = P(v in bin | member, y) / (P(v in bin | member, y) + P(v in bin | non-member, y)),  v = modified entropy

The shares are those of all shadow models' members and non-members of class y in the bins of a histogram, whose edges
lie at equal ratios between the smallest and the largest v of the class (below 1e-10 counts as 1e-10). v beyond the
edges falls into the first or last bin; a bin that holds nobody takes the nearest that does, of two the lower. A class
that lacks members or non-members among the shadows takes the histogram of all classes. The score is the probability of
membership at a prior of one half: records of a bin are tied. Differs from the authors' code: v in float64 log space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from miabench import Attack, Field, Logits, Observed, Scores, State
from miabench.logprob import modified_entropy

Array = NDArray[np.float64]

SMALLEST = 1e-10  # of the authors' code


class PrivacyRiskScore(Attack, frozen=True):
    """The share of members among the shadows' records of the same class with a similar modified entropy."""

    bins: int = Field(5, ge=2, description="bins of each class' histogram")

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """Edges (C, bins + 1) and the membership probability of each bin (C, bins)."""
        values = np.concatenate([modified_entropy(shadow[Logits()], shadow.labels) for shadow in shadows])
        labels = np.concatenate([shadow.labels for shadow in shadows])
        member = np.concatenate([np.asarray(shadow.member) for shadow in shadows])
        edges, risk = [], []
        for label in range(shadows[0].num_classes):
            rows = labels == label
            if len(np.unique(member[rows])) < 2:
                rows = np.ones(len(rows), dtype=bool)
            of_class = histogram_edges(values[rows], self.bins)
            edges.append(of_class)
            risk.append(membership_by_bin(of_class, values[rows], member[rows]))
        return {"edges": np.stack(edges), "risk": np.stack(risk)}

    def score(self, target: Observed, state: State) -> Scores:
        """Probabilities (N,)."""
        values = modified_entropy(target[Logits()], target.labels)
        return risk_scores(state["edges"], state["risk"], values, target.labels)


def histogram_edges(values: Array, bins: int) -> Array:
    """Edges (bins + 1,) at equal ratios around the values (n,)."""
    values = np.maximum(values, SMALLEST)
    return np.logspace(np.log10(values.min()), np.log10(values.max()), bins + 1)


def membership_by_bin(edges: Array, values: Array, member: NDArray[np.bool_]) -> Array:
    """The membership probability of every bin (bins,), from values (n,) of members and non-members."""
    bins = len(edges) - 1
    place = bin_of(edges, np.maximum(values, SMALLEST))
    inside, outside = (np.bincount(place[rows], minlength=bins) / rows.sum() for rows in (member, ~member))
    there = np.flatnonzero(inside + outside)
    distance = np.abs(np.arange(bins)[:, None] - there)
    nearest = there[distance.argmin(1)]  # the first, and so the lower, of two
    risk: Array = inside[nearest] / (inside[nearest] + outside[nearest])
    return risk


def risk_scores(edges: Array, risk: Array, values: Array, labels: NDArray[np.int64]) -> Array:
    """The probability of each value's bin in the histogram of its class (N,)."""
    scores = np.empty(len(values))
    for label in np.unique(labels):
        rows = labels == label
        scores[rows] = risk[label][bin_of(edges[label], values[rows])]
    return scores


def bin_of(edges: Array, values: Array) -> NDArray[np.intp]:
    """The bin of each value (n,): from its lower edge, included, to its upper; the outermost bins have no end."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
