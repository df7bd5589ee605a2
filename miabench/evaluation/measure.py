"""From one attack's scores to its metrics, and from decisions to accuracies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miabench import metrics
from miabench.evaluation.decisions import called_members, class_thresholds
from miabench.evaluation.references import FEWEST
from miabench.evaluation.scores import AttackScores
from miabench.metrics import Estimate, Scored
from miabench.metrics.names import ACCURACIES as ACCURACIES
from miabench.metrics.names import ATTACK_METRICS as ATTACK_METRICS
from miabench.metrics.names import CALIBRATED, FNRS, FPRS, NEEDS, Calibrated
from miabench.metrics.names import find_metric as find_metric

Row = dict[str, Any]

NEED_SHADOWS = ("balanced_accuracy", "balanced_accuracy_global", *CALIBRATED, "advantage", "far")
NO_SHADOWS = "no shadow models"


def measure_accuracy(correct: NDArray[np.bool_], member: NDArray[np.bool_]) -> list[Row]:
    """Train and test accuracy: rows with metric, value, low, high.

    Args:
        correct: whether each record is classified correctly (N,).
        member: whether it is a member (N,).
    """
    parts = {"train_accuracy": correct[member], "test_accuracy": correct[~member]}
    return [row(name, metrics.accuracy(part), member) for name, part in parts.items()]


def measure_attack(scores: AttackScores) -> list[Row]:
    """All metrics of one attack on one target, in the order of `ATTACK_METRICS`.

    Args:
        scores: of the target and of the shadows; thresholds are learnt on the shadows alone.
    """
    found = {one["metric"]: one for one in (*_ranked(scores), *_decided(scores))}
    return [found[name] for name in ATTACK_METRICS]


def measure_ranking(scores: NDArray[np.float64], member: NDArray[np.bool_]) -> list[Row]:
    """The metrics that need nothing but the target's own scores: AUC, TPR at low FPR, TNR at low FNR."""
    rows = [row("auc", metrics.auc(scores, member), member)]
    for name, fpr in FPRS.items():
        point = metrics.point_at_fpr(scores, member, fpr)
        realised = {"realised_fpr": point.fpr} if point else {}
        rows.append(row(name, metrics.tpr_at_fpr(scores, member, fpr), member, _too_few(name, member)) | realised)
    for name, fnr in FNRS.items():
        rows.append(row(name, metrics.tnr_at_fnr(scores, member, fnr), member, _too_few(name, member)))
    return rows


def measure_classes(scores: AttackScores, num_classes: int) -> list[Row]:
    """AUC and balanced accuracy of each class that has members and non-members: rows with `class`."""
    target, member, label = scores.target.values, scores.target.members, scores.target.labels
    by_class = {"auc": metrics.per_class(metrics.auc, target, member, label, num_classes)}
    if len(scores.shadows.values):
        called = target >= class_thresholds(scores).thresholds[label]
        by_class["balanced_accuracy"] = metrics.per_class(metrics.balanced_accuracy, called, member, label, num_classes)
    return [
        row(name, estimate, member[label == number]) | {"class": number}
        for name, estimates in by_class.items()
        for number, estimate in enumerate(estimates)
        if estimate is not None
    ]


def _ranked(scores: AttackScores) -> list[Row]:
    """What ranks the target's records; the AUC's row says how many references they were compared with."""
    auc, *others = measure_ranking(scores.target.values, scores.target.members)
    return [auc | ({"references": scores.references._asdict()} if scores.references else {}), *others]


def _decided(scores: AttackScores) -> Iterator[Row]:
    """What a threshold learnt on the shadows decides about the target's records."""
    target, member = scores.target, scores.target.members
    if not len(scores.shadows.values):
        reason = _why_not_calibrated(scores)
        yield from (row(name, None, member, reason) for name in NEED_SHADOWS)
        return
    per_class = class_thresholds(scores)
    called = target.values >= per_class.thresholds[target.labels]
    balanced = row("balanced_accuracy", metrics.balanced_accuracy(called, member), member)
    yield balanced | {"classes_without_threshold": per_class.fallbacks}
    overall = called_members("balanced_accuracy_global", scores)
    assert overall is not None, "there are shadows"
    yield row("balanced_accuracy_global", metrics.balanced_accuracy(overall, member), member)
    yield row("advantage", metrics.advantage(called, member), member)
    yield row("far", metrics.false_positive_rate(called, member), member)
    for name, rate in CALIBRATED.items():
        yield _at_shadow_threshold(name, rate, scores)


def _at_shadow_threshold(name: str, rate: Calibrated, scores: AttackScores) -> Row:
    target, shadows = (Scored(one.values, one.members) for one in (scores.target, scores.shadows))
    reason = _too_few(name, shadows.members)
    estimate = None if reason else metrics.at_shadow_threshold(rate, target, shadows)
    return row(name, estimate, target.members, reason or (None if estimate else "nobody is called a member"))


def _why_not_calibrated(scores: AttackScores) -> str:
    references = scores.references
    if references is None or not (references.shadows_in or references.shadows_out):
        return NO_SHADOWS
    return (
        f"shadow models have {references.shadows_out:.1f} references on average: it takes {FEWEST} to learn a threshold"
    )


def _too_few(metric: str, member: NDArray[np.bool_]) -> str | None:
    """Why a metric has no value for so few records; None where it has one."""
    needs = NEEDS[metric]
    have = int((member if needs.kind == "members" else ~member).sum())
    of = " of shadow models" if needs.of == "shadows" else ""
    return None if have >= needs.records else f"needs {needs.records:,} {needs.kind}{of}, has {have:,}"


def row(metric: str, estimate: Estimate | None, member: NDArray[np.bool_], reason: str | None = None) -> Row:
    """One metric as JSON; a missing value is null with a reason."""
    value, low, high = estimate or (None, None, None)
    counts = {"n_members": int(member.sum()), "n_nonmembers": int((~member).sum())}
    return {"metric": metric, "value": value, "low": low, "high": high, **counts, "reason": reason}
