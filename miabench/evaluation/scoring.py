"""Scores of an attack that does not know who is a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miabench import seeds
from miabench.errors import UserError
from miabench.evaluation.scores import ShadowScores
from miabench.plugins.attack import Attack, Observed


def score_hidden(attack: Attack, target: Observed, state: Mapping[str, Any], seed: int) -> NDArray[np.float64]:
    """Scores of the target's records, which the attack gets shuffled and without membership."""
    order = np.random.default_rng(seeds.derive(seed, "order shown to the attack")).permutation(len(target))
    shown = replace(target.at(order), member=None)
    scores = np.empty(len(target))
    scores[order] = checked_scores(attack.score(shown, state), len(target))
    return scores


def shadow_scores(attack: Attack, shadows: Sequence[Observed], state: Mapping[str, Any]) -> ShadowScores:
    """Scores of shadow models' records, one model after another."""
    return ShadowScores.of_all(
        [
            ShadowScores(checked_scores(attack.score(shadow, state), len(shadow)), members_of(shadow), shadow.labels)
            for shadow in shadows
        ]
    )


def members_of(observed: Observed) -> NDArray[np.bool_]:
    """Whether each record was a member (N,), of a model whose membership is known."""
    assert observed.member is not None
    return observed.member


def checked_scores(scores: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """An attack's scores, if they are what the contract asks for.

    Raises:
        UserError: they are not n finite float64 numbers.
    """
    scores = np.asarray(scores)
    if scores.shape != (n,) or scores.dtype != np.float64 or not np.isfinite(scores).all():
        infinite = f" with {int((~np.isfinite(scores)).sum())} not finite" if scores.dtype.kind == "f" else ""
        raise UserError(
            f"the attack's score must be {n} finite float64 numbers, one per record; "
            f"it gave {scores.dtype} of shape {scores.shape}{infinite}"
        )
    return scores
