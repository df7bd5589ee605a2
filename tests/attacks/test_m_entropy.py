import numpy as np

from miabench import create_attack


def test_by_hand(observe):
    score = create_attack("m-entropy").score(observe(np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]), [0, 1]), {})
    right = 0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.75)
    wrong = 0.75 * np.log(0.25) + 0.5 * np.log(0.5) + 0.25 * np.log(0.75)
    np.testing.assert_allclose(score, [right, wrong], rtol=1e-7)


def test_a_sure_wrong_answer_speaks_against_membership(observe):
    right, unsure, wrong = create_attack("m-entropy").score(observe([[9, 0, 0], [0, 0, 0], [9, 0, 0]], [0, 0, 2]), {})
    assert right > unsure > wrong


def test_saturated_records_are_not_tied(saturated):
    assert (np.diff(create_attack("m-entropy").score(saturated, {})) > 0).all()
