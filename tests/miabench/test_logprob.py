"""Log probabilities keep their relative precision where probabilities round to 0 or 1."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from miabench.logprob import (
    entropy,
    entropy_of_probabilities,
    log_complement,
    log_odds,
    log_softmax,
    modified_entropy,
    modified_entropy_of_probabilities,
)

LOGITS = np.array(
    [
        [0.3, -1.2, 2.0, 0.1],
        [1.0, 1.0, 1.0, 1.0],  # no largest class
        [5.0, 5.0, -3.0, 0.0],  # two largest
        [0.0, 20.0, 1.0, -4.0],  # float32 rounds the softmax to one class
        [-2.0, 0.5, 41.0, 1.5],  # float64 does
        [300.0, 1.0, 0.0, 2.0],
        [-1000.25, -1001.0, -1000.0, -1090.0],
    ],
    dtype=np.float32,
)
LABELS = np.array([2, 0, 1, 1, 2, 0, 3])
SETS = ["thr0", "thr1"]


def exact(logits, label):
    """log p, log(1 - p), log odds, entropy, modified entropy of one record, by arithmetic with 400 digits."""
    with localcontext() as context:
        context.prec = 400
        e = [Decimal(float(z)).exp() for z in logits]
        p = [x / sum(e) for x in e]
        rest = [sum(e[:i] + e[i + 1 :]) / sum(e) for i in range(len(e))]
        log_p, log_rest = [x.ln() for x in p], [x.ln() for x in rest]
        mentr = -sum(p[i] * log_rest[i] for i in range(len(e)) if i != label) - rest[label] * log_p[label]
        plain = -sum(a * b for a, b in zip(p, log_p, strict=True))
        results = (log_p, log_rest, log_p[label] - log_rest[label], plain, mentr)
        return [np.array(result, dtype=float) for result in results]


@pytest.mark.parametrize("row", range(len(LOGITS)))
def test_all_forms_keep_their_digits(row):
    z, y = LOGITS[row : row + 1], LABELS[row : row + 1]
    log_p, log_rest, odds, plain, mentr = exact(z[0], y[0])
    close = {"rtol": 2e-13, "atol": 0}
    np.testing.assert_allclose(log_softmax(z)[0], log_p, **close)
    np.testing.assert_allclose(log_complement(log_softmax(z))[0], log_rest, **close)
    np.testing.assert_allclose(log_odds(z, y)[0], odds, rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(entropy(z)[0], plain, **close)
    np.testing.assert_allclose(modified_entropy(z, y)[0], mentr, **close)


def test_uniform_probabilities_by_hand():
    z, y = np.zeros((1, 4), np.float32), np.array([3])
    assert log_odds(z, y)[0] == pytest.approx(-np.log(3))
    assert entropy(z)[0] == pytest.approx(np.log(4))
    assert modified_entropy(z, y)[0] == pytest.approx(0.75 * np.log(4) + 0.75 * np.log(4 / 3))


def test_two_classes():
    z, y = np.array([[1.0, 4.0], [2.0, -30.0]]), np.array([0, 0])
    np.testing.assert_allclose(log_odds(z, y), [-3.0, 32.0])
    np.testing.assert_allclose(log_complement(log_softmax(z)), log_softmax(z)[:, ::-1], rtol=1e-14)


def test_inputs_are_left_alone():
    z = LOGITS.astype(np.float64)
    log_odds(z, LABELS)
    modified_entropy(z, LABELS)
    np.testing.assert_array_equal(z, LOGITS)


def test_probability_forms_equal_the_reference(golden):
    arrays = golden("c_metric_attacks").arrays
    p, y = arrays["probs"], arrays["labels"]
    np.testing.assert_allclose(entropy_of_probabilities(p), arrays["entropy"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(modified_entropy_of_probabilities(p, y), arrays["mentropy"], rtol=1e-12, atol=1e-14)


def test_logit_forms_equal_the_reference(golden):
    arrays = golden("c_metric_attacks").arrays
    rows = arrays["probs"].max(1) < 0.999  # nearer to 1, the reference's 1 - p has lost digits
    rows &= arrays["probs"].min(1) > 0
    assert rows.sum() > 20
    z, y = np.log(arrays["probs"][rows]), arrays["labels"][rows]
    np.testing.assert_allclose(entropy(z), arrays["entropy"][rows], rtol=1e-12)
    np.testing.assert_allclose(modified_entropy(z, y), arrays["mentropy"][rows], rtol=1e-12)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", ["entropy", "mentropy"])
def test_auc_equals_the_reference(golden, name, method):
    vectors = golden("c_metric_attacks")
    p, y, stored = (
        np.concatenate([vectors.arrays[f"{name}.t_{part}.{key}"] for part in ("tr", "te")])
        for key in ("probs", "labels", method)
    )
    member = np.arange(len(y)) < len(vectors.arrays[f"{name}.t_tr.labels"])
    ours = entropy_of_probabilities(p) if method == "entropy" else modified_entropy_of_probabilities(p, y)
    np.testing.assert_allclose(ours, stored, rtol=1e-5, atol=1e-10)  # stored in float32
    expected = vectors.json["threshold_sets"][name]["song_mittal_relaxloss"][method]["auc"]
    assert roc_auc_score(member, -stored.astype(float)) == pytest.approx(expected, abs=1e-12)
    rounded = -ours.astype(np.float32).astype(float)  # the reference computes in float32, where some records tie
    assert roc_auc_score(member, rounded) == pytest.approx(expected, abs=1e-4)
