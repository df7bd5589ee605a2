"""The privacy risk score equals the authors' code, and says what to do where that fails."""

import numpy as np
import pytest
import torch
from miabench.attacks.privacy_risk_score import bin_of, histogram_edges, membership_by_bin, risk_scores

from miabench import create_attack
from miabench.logprob import modified_entropy


@pytest.mark.parametrize("bins", [5, 12])
@pytest.mark.parametrize("shadow", ["plain", "gap"])
def test_equals_the_authors_code(golden, shadow, bins):
    arrays = golden("m_privacy_risk_score").arrays
    prefix = "" if shadow == "plain" else "gap_"
    values = np.concatenate([arrays[f"{prefix}shadow_{part}_values"] for part in ("train", "test")])
    labels = np.concatenate([arrays[f"shadow_{part}_labels"] for part in ("train", "test")])
    member = np.arange(len(values)) < len(arrays["shadow_train_labels"])
    rows = [labels == label for label in range(5)]
    edges = np.stack([histogram_edges(values[row], bins) for row in rows])
    np.testing.assert_allclose(edges, arrays[f"{shadow}.bins{bins}.log.bins"], rtol=1e-9)
    risk = np.stack([membership_by_bin(e, values[row], member[row]) for e, row in zip(edges, rows, strict=True)])
    found = risk_scores(edges, risk, arrays["target_values"], arrays["target_labels"])
    parts = [arrays[f"{shadow}.bins{bins}.log.{part}_hist"].sum(1) for part in ("member", "nonmember")]
    whole = np.isclose(parts, 1).all(0)  # there a value that its last digit puts beyond the edges is in no bin
    assert whole.sum() == 4
    compared = whole[arrays["target_labels"]]
    np.testing.assert_allclose(found[compared], arrays[f"{shadow}.bins{bins}.log"][compared], rtol=1e-6)


def test_bins_hold_their_lower_edge_and_the_outermost_have_no_end():
    edges = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(bin_of(edges, np.array([0.1, 1, 1.9, 2, 4, 7.9, 8, 99])), [0, 0, 0, 1, 2, 2, 2, 2])


def test_an_empty_bin_takes_the_nearest_of_two_the_lower():
    edges = np.logspace(0, 5, 6)
    member = np.array([True, False, True, False, False])
    risk = membership_by_bin(edges, np.array([2.0, 2.0, 2e4, 2e4, 2e4]), member)
    np.testing.assert_allclose(risk, [0.6, 0.6, 0.6, 3 / 7, 3 / 7])


def test_a_class_absent_from_the_shadows_takes_all_classes(observe):
    random = np.random.default_rng(0)
    labels, member = random.integers(2, size=400), np.arange(400) < 200
    logits = random.normal(size=(400, 3))
    logits[np.arange(400), labels] += np.where(member, 4, 1)
    attack = create_attack("privacy-risk-score")
    state = attack.fit([observe(logits, labels, member)], torch.Generator())
    values = modified_entropy(np.float32(logits), labels)
    edges = histogram_edges(values, 5)
    np.testing.assert_array_equal(state["edges"][2], edges)
    np.testing.assert_allclose(state["risk"][2], membership_by_bin(edges, values, member))
    alone = attack.fit([observe(logits, labels, labels == 0)], torch.Generator())  # no class has both
    np.testing.assert_array_equal(alone["edges"], np.stack([edges] * 3))
    sure, unsure = attack.score(observe([[9, 0, 0], [0.1, 0, 0]], [0, 0]), state)
    assert sure > 0.8 > 0.4 > unsure


def test_scores_are_probabilities_of_the_records_class(observe):
    """Class 0 tells members, class 1 does not: the same answer is worth more in class 0."""
    random = np.random.default_rng(0)
    labels, member = np.arange(2000) % 2, np.arange(2000) < 1000
    logits = random.normal(size=(2000, 2)) * 0.1
    logits[np.arange(2000), labels] += np.where(member & (labels == 0), 6, 3) + random.normal(size=2000)
    attack = create_attack("privacy-risk-score", bins=8)
    state = attack.fit([observe(logits, labels, member)], torch.Generator())
    first, second = attack.score(observe([[6, 0], [0, 6]], [0, 1]), state)
    assert first > 0.9
    assert second == pytest.approx(0.5, abs=0.15)


def test_saturated_records_are_in_the_first_bin(observe):
    attack = create_attack("privacy-risk-score")
    labels, member = np.zeros(6, dtype=int), np.arange(6) < 4
    shadow = observe([[800, 0], [900, 0], [700, 0], [800, 0], [0, 2], [0, 1]], labels, member)
    state = attack.fit([shadow], torch.Generator())
    found = attack.score(observe([[850, 0], [0, 3], [-800, 0]], [0, 0, 0]), state)
    np.testing.assert_array_equal(found, [1, 0, 0])
