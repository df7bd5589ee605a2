"""From one attack's scores to its metrics, and from logits to accuracies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miabench import metrics
from miabench.evaluation.scores import AttackScores
from miabench.metrics import Estimate, names
from miabench.metrics.names import ACCURACIES as ACCURACIES

FPRS = {name: names.FPRS[name] for name in ("tpr@1%", "tpr@0.1%")}  # what is measured so far
ATTACK_METRICS = ("auc", "balanced_accuracy", "balanced_accuracy_global", *FPRS)
NO_SHADOWS = "no shadow models"

Row = dict[str, Any]


def find_metric(name: str) -> str | None:
    """The measured metric of attacks that is meant; None where there is none."""
    found = names.find_metric(name)
    return found if found in ATTACK_METRICS else None


def measure_accuracy(correct: NDArray[np.bool_], member: NDArray[np.bool_]) -> list[Row]:
    """Train and test accuracy: rows with metric, value, low, high.

    Args:
        correct: whether each record is classified correctly (N,).
        member: whether it is a member (N,).
    """
    parts = {"train_accuracy": correct[member], "test_accuracy": correct[~member]}
    return [row(name, metrics.accuracy(part), member) for name, part in parts.items()]


def measure_attack(scores: AttackScores, num_classes: int) -> list[Row]:
    """All metrics of one attack on one target.

    Args:
        scores: of the target and of the shadows; thresholds are learnt on the shadows alone.
        num_classes: C.
    """
    target, member, label = scores.target.values, scores.target.members, scores.target.labels
    shadows, shadow_member = scores.shadows.values, scores.shadows.members
    rows = [row("auc", metrics.auc(target, member), member)]
    if len(shadows):
        per_class = metrics.per_class_thresholds(shadows, shadow_member, scores.shadows.labels, num_classes)
        decided = metrics.balanced_accuracy(target >= per_class.thresholds[label], member)
        rows.append({**row("balanced_accuracy", decided, member), "classes_without_threshold": per_class.fallbacks})
        overall = metrics.threshold(shadows, shadow_member)
        rows.append(row("balanced_accuracy_global", metrics.balanced_accuracy(target >= overall, member), member))
    else:
        rows += [row(name, None, member, NO_SHADOWS) for name in ATTACK_METRICS[1:3]]
    for name, fpr in FPRS.items():
        estimate = metrics.tpr_at_fpr(target, member, fpr)
        reason = None if estimate else f"needs {round(1 / fpr)} non-members, has {(~member).sum()}"
        rows.append(row(name, estimate, member, reason))
    return rows


def row(metric: str, estimate: Estimate | None, member: NDArray[np.bool_], reason: str | None = None) -> Row:
    """One metric as JSON; a missing value is null with a reason."""
    value, low, high = estimate or (None, None, None)
    counts = {"n_members": int(member.sum()), "n_nonmembers": int((~member).sum())}
    return {"metric": metric, "value": value, "low": low, "high": high, **counts, "reason": reason}
