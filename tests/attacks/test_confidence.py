import numpy as np

from miabench import create_attack


def test_by_hand(observe):
    score = create_attack("confidence").score(observe(np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]), [1, 2]), {})
    np.testing.assert_allclose(score, [np.log(0.25 / 0.75), np.log(0.8 / 0.2)], rtol=1e-6)


def test_ranks_as_the_probability_of_the_true_class(observe):
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(200, 5)) * 2, random.integers(5, size=200)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    score = create_attack("confidence").score(observe(logits, labels), {})
    np.testing.assert_array_equal(np.argsort(score), np.argsort(p[np.arange(200), labels]))


def test_saturated_records_are_not_tied(saturated):
    assert (np.diff(create_attack("confidence").score(saturated, {})) > 0).all()
