import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from miabench import Logits, create_attack


def scores(logits, labels):
    (probe,) = create_attack("gap").probes()
    assert probe.of == Logits()
    return create_attack("gap").score({probe: probe.derive(np.asarray(logits), np.asarray(labels))}, {})


def test_right_is_a_member():
    found = scores([[3, 1, 0], [3, 1, 0], [0, 0, 5]], [0, 1, 2])
    np.testing.assert_array_equal(found, [1, 0, 1])
    assert found.dtype == np.float64


def test_its_auc_is_one_half_and_half_the_gap():
    random = np.random.default_rng(0)
    labels, member = random.integers(4, size=400), np.arange(400) < 150
    logits = random.normal(size=(400, 4))
    logits[np.arange(400), labels] += np.where(member, 3, 1)
    found = scores(logits, labels)
    right = logits.argmax(1) == labels
    gap = right[member].mean() - right[~member].mean()
    assert gap > 0.2
    assert roc_auc_score(member, found) == pytest.approx(0.5 + gap / 2, abs=1e-12)


def test_sees_the_label_alone():
    attack = create_attack("gap")
    assert attack.access == "label"
    assert {probe.sees for probe in attack.probes()} == {"label"}
