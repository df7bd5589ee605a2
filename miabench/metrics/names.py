"""What metrics are called, in which order they stand, and how many records they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Calibrated(NamedTuple):
    """A rate of the target at a threshold that the shadows call for.

    Attributes:
        rate: true positive rate, false positive rate, or positive predictive value.
        fpr: that the shadows' threshold keeps to, a fraction.
        prior: share of members among all people, for a predictive value.
    """

    rate: Literal["tpr", "fpr", "ppv"]
    fpr: float
    prior: float | None = None


class Needs(NamedTuple):
    """The least number of records without which a metric is n/a: 1/rate, so that one error is allowed."""

    records: int
    kind: Literal["members", "non-members"]
    of: Literal["target", "shadows"] = "target"


def percent(fraction: float) -> str:
    """A fraction as names spell it.

    >>> percent(0.0001)
    '0.01%'
    """
    return f"{100 * fraction:g}%"


FPRS: Mapping[str, float] = {f"tpr@{percent(fpr)}": fpr for fpr in (0.1, 0.01, 0.001, 0.0001)}
FNRS: Mapping[str, float] = {f"tnr@{percent(fnr)}": fnr for fnr in (0.01,)}
CALIBRATED_FPRS = (0.01, 0.001)
PRIORS = (0.01, 0.1)
CALIBRATED: Mapping[str, Calibrated] = {
    f"calibrated_{rate}@{percent(fpr)}": Calibrated(rate, fpr) for fpr in CALIBRATED_FPRS for rate in ("tpr", "fpr")
} | {
    f"ppv@{percent(fpr)}:prior={percent(prior)}": Calibrated("ppv", fpr, prior)
    for fpr in CALIBRATED_FPRS
    for prior in PRIORS
}


def _title(one: Calibrated) -> str:
    at = f"at a threshold for {percent(one.fpr)} FPR on shadows"
    return f"{one.rate.upper()} {at}" + (f", {percent(one.prior)} of all people members" if one.prior else "")


ACCURACIES = ("train_accuracy", "test_accuracy")
ATTACK_METRICS = (
    "auc",
    "balanced_accuracy",
    "balanced_accuracy_global",
    *FPRS,
    *FNRS,
    *CALIBRATED,
    "advantage",
    "far",
)

TITLES: Mapping[str, str] = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy (per-class thresholds)",
    "balanced_accuracy_global": "balanced accuracy (one threshold)",
    **{name: f"TPR at {percent(fpr)} FPR" for name, fpr in FPRS.items()},
    **{name: f"TNR at {percent(fnr)} FNR" for name, fnr in FNRS.items()},
    **{name: _title(one) for name, one in CALIBRATED.items()},
    "advantage": "advantage (TPR - FPR, per-class thresholds)",
    "far": "false alarm rate (per-class thresholds)",
}

GUESSING: Mapping[str, float] = {
    **dict.fromkeys(("auc", "balanced_accuracy", "balanced_accuracy_global"), 0.5),
    **FPRS,
    **FNRS,
    **{name: one.prior or one.fpr for name, one in CALIBRATED.items()},
    **dict.fromkeys(("advantage", "far"), 0.0),
}  # what an attacker reaches who learns nothing and then calls nobody a member
MAIN = ("auc", "balanced_accuracy", "balanced_accuracy_global", "tpr@1%", "tpr@0.1%")  # where few metrics are shown

NEEDS: Mapping[str, Needs] = {
    **{name: Needs(round(1 / fpr), "non-members") for name, fpr in FPRS.items()},
    **{name: Needs(round(1 / fnr), "members") for name, fnr in FNRS.items()},
    **{name: Needs(round(1 / one.fpr), "non-members", "shadows") for name, one in CALIBRATED.items()},
}


def find_metric(name: str) -> str | None:
    """The metric of attacks that is meant, hyphens and underscores being alike; None where there is none.

    >>> find_metric("balanced-accuracy"), find_metric("calibrated-tpr@1%"), find_metric("recall")
    ('balanced_accuracy', 'calibrated_tpr@1%', None)
    """
    found = name.replace("-", "_")
    return found if found in ATTACK_METRICS else None
