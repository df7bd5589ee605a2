"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import miabench.metrics

MODULES = [
    "miabench.plugins.suites",
    *(f"miabench.metrics.{info.name}" for info in pkgutil.iter_modules(miabench.metrics.__path__)),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_every_public_metric_of_scores_has_an_example():
    for name in ("auc", "tpr_at_fpr", "tnr_at_fnr", "balanced_accuracy", "advantage", "threshold", "roc", "holm"):
        assert ">>>" in getattr(miabench.metrics, name).__doc__
