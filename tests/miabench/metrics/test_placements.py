"""Placements against the comparison of all pairs."""

import numpy as np
import pytest

from miabench.metrics.placements import placements


def by_pairs(scores, members):
    """For each record, the share of the other kind on its far side, ties half."""
    placed = np.empty(len(scores))
    for i, (score, member) in enumerate(zip(scores, members, strict=True)):
        others = scores[members != member]
        lower, ties = (others < score).mean(), (others == score).mean()
        placed[i] = lower + ties / 2 if member else 1 - lower - ties / 2
    return placed


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_placements_are_those_of_all_pairs(decimals):
    rng = np.random.default_rng(decimals)
    members = rng.random(70) < 0.3
    scores = (rng.normal(size=(2, 3, 70)) + members).round(decimals)
    placed = placements(scores, members)
    for attack in range(2):
        for run in range(3):
            np.testing.assert_allclose(placed[attack, run], by_pairs(scores[attack, run], members), atol=1e-12)


def test_the_mean_is_the_auc_on_both_sides():
    rng = np.random.default_rng(0)
    members = rng.random(50) < 0.5
    placed = placements(rng.integers(0, 6, 50).astype(float) + members, members)
    assert placed[members].mean() == pytest.approx(placed[~members].mean(), rel=1e-12)


def test_equal_scores_are_placed_half():
    assert (placements(np.zeros((1, 6)), np.arange(6) < 2) == 0.5).all()
