import numpy as np

from miabench import create_attack


def test_by_hand(observe):
    logits = np.log([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(create_attack("entropy").score(observe(logits, [0, 0]), {}), -1.5 * np.log(2), rtol=1e-7)


def test_a_sure_model_scores_higher_whatever_the_label(observe):
    score = create_attack("entropy").score(observe([[9, 0, 0], [9, 0, 0], [1, 0, 0]], [0, 2, 0]), {})
    assert score[0] == score[1] > score[2]


def test_saturated_records_are_not_tied(saturated):
    assert (np.diff(create_attack("entropy").score(saturated, {})) > 0).all()
