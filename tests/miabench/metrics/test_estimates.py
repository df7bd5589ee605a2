"""The parts that all metrics share: what is refused, and intervals of what was never seen."""

import doctest
import importlib
import math
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

from miabench import metrics
from miabench.metrics.estimates import with_unseen

MODULES = sorted(info.name for info in pkgutil.iter_modules(metrics.__path__, "miabench.metrics."))


def test_importing_metrics_imports_no_torch_and_no_slow_part_of_scipy():
    code = (
        "import sys, miabench.metrics.bootstrap, miabench.metrics; "
        "sys.exit('torch' in sys.modules or 'scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_what_was_never_seen_widens_an_interval_only_as_far_as_it_must():
    seen = 0.025 ** (1 / 50)
    assert with_unseen(metrics.Estimate(0.8, 0.8, 0.8), 50) == pytest.approx((0.8, 0.8 * seen, 1 - 0.2 * seen))
    assert with_unseen(metrics.Estimate(0.5, 0.1, 0.9), 50) == (0.5, 0.1, 0.9)


# --- what is refused, and how it reads ---

TAKE_SCORES = (
    metrics.auc,
    metrics.threshold,
    lambda scores, members: metrics.tpr_at_fpr(scores, members, 0.5),
    lambda scores, members: metrics.tnr_at_fnr(scores, members, 0.5),
    metrics.roc,
    lambda scores, members: metrics.per_class_thresholds(scores, members, np.zeros(len(members), dtype=int), 1),
)


@pytest.mark.parametrize("metric", TAKE_SCORES)
def test_bad_scores_are_refused(metric):
    with pytest.raises(ValueError, match="scores must be finite: 2 of 4 are NaN or infinite, first at row 1"):
        metric([0.0, math.nan, 1.0, math.inf], [True, False, True, False])
    with pytest.raises(ValueError, match=r"scores must have one entry per record: shape \(2,\), got \(3,\)"):
        metric([0.0, 1.0, 2.0], [True, False])
    with pytest.raises(ValueError, match=r"scores must have one entry per record: shape \(2,\), got \(1, 2\)"):
        metric([[0.0, 1.0]], [True, False])


@pytest.mark.parametrize("metric", [*TAKE_SCORES, lambda _, members: metrics.balanced_accuracy([True, True], members)])
def test_bad_members_are_refused(metric):
    with pytest.raises(ValueError, match="must hold members and non-members, got 2 members and 0 non-members"):
        metric([0.0, 1.0], [True, True])
    with pytest.raises(ValueError, match="got 0 members and 2 non-members"):
        metric([0.0, 1.0], [False, False])
    with pytest.raises(ValueError, match=r"members must be a one-dimensional array of booleans, got int64 of shape"):
        metric([0.0, 1.0], [1, 0])


def test_bad_decisions_are_refused():
    with pytest.raises(ValueError, match=r"predicted must be a one-dimensional array of booleans, got float64"):
        metrics.balanced_accuracy([0.3, 0.7], [True, False])
    with pytest.raises(ValueError, match=r"predicted must have one entry per record: shape \(2,\), got \(3,\)"):
        metrics.balanced_accuracy([True, False, True], [True, False])
    with pytest.raises(ValueError, match="correct must be a one-dimensional array of booleans"):
        metrics.accuracy([0.5])
    with pytest.raises(ValueError, match="correct is empty"):
        metrics.accuracy(np.array([], dtype=bool))


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [0.0, 1.0]])
def test_bad_labels_are_refused(labels):
    with pytest.raises(ValueError, match=r"labels must be integers from 0 to 1 \(num_classes is 2\)"):
        metrics.per_class_thresholds([0.0, 1.0], [True, False], labels, 2)


def test_labels_must_match_the_records():
    with pytest.raises(ValueError, match=r"labels must have one entry per record: shape \(2,\), got \(1,\)"):
        metrics.per_class_thresholds([0.0, 1.0], [True, False], [0], 2)
