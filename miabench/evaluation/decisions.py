"""Whom an attacker calls a member, at thresholds learnt on shadow models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miabench import metrics
from miabench.evaluation.scores import AttackScores
from miabench.metrics.names import CALIBRATED


def class_thresholds(scores: AttackScores) -> metrics.ClassThresholds:
    """One threshold per class, learnt on the shadows (C,), C being the classes that occur."""
    shadows = scores.shadows
    classes = 1 + int(max(shadows.labels.max(), scores.target.labels.max()))
    return metrics.per_class_thresholds(shadows.values, shadows.members, shadows.labels, classes)


def called_members(metric: str, scores: AttackScores) -> NDArray[np.bool_] | None:
    """The decisions (N,) that a metric is about; None where shadows are too few to learn them."""
    target, shadows = scores.target, scores.shadows
    if not len(shadows.values):
        return None
    if metric == "balanced_accuracy_global":
        return target.values >= metrics.threshold(shadows.values, shadows.members)
    if metric in CALIBRATED:
        point = metrics.point_at_fpr(shadows.values, shadows.members, CALIBRATED[metric].fpr)
        return None if point is None else target.values >= point.threshold
    return target.values >= class_thresholds(scores).thresholds[target.labels]
