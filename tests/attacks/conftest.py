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


@pytest.fixture
def compare():
    """What an attack sees of one of M models that answered one probe about the same records: the others are references.

    `keep` (M, N) says which model trained on which record; `withheld` (M, N) which withheld it.
    """

    def compare(probe, answers, keep, target=0, withheld=False, **more):
        answers, keep = np.asarray(answers), np.asarray(keep, dtype=bool)
        others = [model for model in range(len(answers)) if model != target]
        given = {"labels": np.zeros(answers.shape[1], dtype=np.int64), "member": None, "num_classes": 2} | more
        return Observed(
            answers={probe: answers[target]},
            references={probe: answers[others]},
            reference_in=keep[others],
            reference_out=~(keep | withheld)[others],
            **given,
        )

    return compare


@pytest.fixture
def pool():
    """Log odds (M, N) of 11 models that trained on random halves of 60 records, and which trained on which (M, N).

    Records differ in difficulty and in spread; members answer surer.
    """
    random = np.random.default_rng(0)
    keep = random.random((11, 60)) < 0.5
    spread = random.gamma(4, 0.25, 60)
    phi = random.normal(size=60) * 2 + random.normal(size=(11, 60)) * spread + np.where(keep, 1.5, 0)
    return phi, keep
