"""Observations to attack, without training anything."""

import numpy as np
import pytest

from miabench import Logits, Observed


@pytest.fixture
def observe():
    """What an attack sees of a model that answered these logits."""

    def observe(logits, labels, member=None):
        logits = np.asarray(logits, dtype=np.float32)
        member = None if member is None else np.asarray(member, dtype=bool)
        return Observed(np.asarray(labels), member, logits.shape[1], {Logits(): logits}, {})

    return observe


@pytest.fixture
def saturated(observe):
    """Records whose float32 softmax is exactly one-hot, surer and surer of their true class."""
    logits = np.zeros((6, 4))
    logits[np.arange(6), [0, 1, 2, 3, 0, 1]] = [105, 110, 120, 140, 170, 180]
    return observe(logits, [0, 1, 2, 3, 0, 1])
