import numpy as np
import torch

from miabench import create_attack


def test_ranks_as_minus_the_cross_entropy(observe):
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(200, 5)) * 2, random.integers(5, size=200)
    ce = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels), reduction="none").numpy()
    score = create_attack("loss").score(observe(logits, labels), {})
    np.testing.assert_array_equal(np.argsort(score), np.argsort(-ce))
    np.testing.assert_allclose(score, -np.log(np.expm1(ce)), rtol=1e-5, atol=1e-6)


def test_equals_confidence(saturated):
    score = create_attack("loss").score(saturated, {})
    np.testing.assert_array_equal(score, create_attack("confidence").score(saturated, {}))
    assert (np.diff(score) > 0).all()
