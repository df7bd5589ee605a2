"""What an attack's scores are worth, each number with a 95% interval.

Scores are larger for likelier members; `members` is True for members. All values are fractions. Intervals are for
one trained model and speak about records: other records from the same population would give another number.
Intervals over several runs are in `miabench.metrics.bootstrap`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit

VERSION: int = 2  # raise it when a number changes, here or in miabench.evaluation
TAIL = 0.025  # on each side of a 95% interval
Z = 1.959963984540054  # normal quantile at 1 - TAIL
REPLICATES = 1000  # of a bootstrap

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


class Estimate(NamedTuple):
    """A value and its 95% interval, as fractions."""

    value: float
    low: float
    high: float


class ClassThresholds(NamedTuple):
    """One threshold per class.

    Attributes:
        thresholds: (C,); a record is called a member if its score is at least its class's threshold.
        fallbacks: how many classes lack members or non-members and use the global threshold.
    """

    thresholds: Floats
    fallbacks: int


def auc(scores: ArrayLike, members: ArrayLike) -> Estimate:
    """Area under the ROC curve: P(member scores above non-member) + ½ P(they tie).

    The interval has DeLong's variance (DeLong et al., Biometrics 1988; by midranks, Sun and Xu, IEEE SPL 2014) on
    the logit scale, which keeps it in [0, 1] and, near 0 and 1, closer to nominal coverage (compared by Qin and
    Hotilovac, SMMR 2008), and then `with_unseen`: at perfect separation DeLong's variance is zero. Simulated
    coverage with binormal scores, 20 to 1,000 records a side, AUC 0.5 to 0.999: 95% to 98%; without these two
    steps it falls to 61% at AUC 0.99 with 20 a side. With one member or one non-member the interval is [0, 1].

    Args:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: scores or members are not as described.
    """
    from scipy.stats import rankdata  # here: scipy.stats takes longer to load than a small report to make

    scores, members = checked(scores, members)
    m, n = _counts(members)
    ranks = rankdata(scores)  # ties averaged
    value = float((ranks[members].sum() - m * (m + 1) / 2) / (m * n))
    if min(m, n) < 2:
        return Estimate(value, 0.0, 1.0)
    beats = (ranks[members] - rankdata(scores[members])) / n  # share of non-members below each member
    beaten = 1 - (ranks[~members] - rankdata(scores[~members])) / m  # share of members above each non-member
    error = math.sqrt(beats.var(ddof=1) / m + beaten.var(ddof=1) / n)
    interval = Estimate(value, value, value)
    if error > 0:  # so value is neither 0 nor 1
        step = Z * error / (value * (1 - value))
        interval = Estimate(value, float(expit(logit(value) - step)), float(expit(logit(value) + step)))
    return with_unseen(interval, min(m, n))


def tpr_at_fpr(scores: ArrayLike, members: ArrayLike, fpr: float, seed: int = 0) -> Estimate | None:
    """True positive rate at the last point of the ROC curve whose false positive rate is at most `fpr`.

    Records with equal scores are taken together or not at all, nothing is interpolated. The interval is the
    percentile interval of 1,000 bootstraps of the records (members and non-members separately, threshold chosen
    anew each time), then `with_unseen`. With few false positives allowed it is too short, for the bootstrap cannot
    look beyond the largest non-member: simulated coverage for attacks better than chance is 71% to 84% where one
    is allowed, about 90% with two to five, 95% from ten on.

    Args:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.
        fpr: a fraction between 0 and 1, not percent.
        seed: of the bootstrap.

    Returns:
        None if there are fewer than 1/fpr non-members: no false positive would be allowed.

    Raises:
        ValueError: scores, members or fpr are not as described.
    """
    scores, members = checked(scores, members)
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must be a fraction between 0 and 1 (1% is 0.01), got {fpr}")
    m, n = _counts(members)
    allowed = min(math.floor(fpr * n * (1 + 1e-12)), n - 1)  # 0.29 * 100 is 28.999999999999996
    if allowed < 1:
        return None
    falling = np.sort(scores[~members])[::-1]
    above = 1 - np.searchsorted(np.sort(scores[members]), falling, side="right") / m  # TPR just above each of them
    # Resampled, the threshold is the (allowed + 1)-th largest of n draws with replacement. A draw is the rank
    # floor(n * uniform), and order statistics of uniforms are beta distributed; members above it are binomial.
    rng = np.random.default_rng(seed)
    ranks = np.minimum((n * rng.beta(allowed + 1, n - allowed, size=REPLICATES)).astype(np.int64), n - 1)
    low, high = np.quantile(rng.binomial(m, above[ranks]) / m, [TAIL, 1 - TAIL])
    return with_unseen(Estimate(float(above[allowed]), float(low), float(high)), m)


def balanced_accuracy(predicted: ArrayLike, members: ArrayLike) -> Estimate:
    """½ (TPR + TNR) of an attack's decisions.

    The interval combines the Clopper-Pearson limits of TPR and TNR by the square root of the sum of their squared
    distances (MOVER: Zou and Donner, Statistics in Medicine 2008), widened by half the mean step that one record
    makes (continuity correction). Exact coverage, enumerated for 10 to 300 records a side with rates from 0.02/m
    to 1 - 0.02/m: at least 95.9% (92.7% without the correction, where both rates are near 0 or 1).

    Args:
        predicted: (N,), booleans: called a member.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: predicted or members are not as described.
    """
    members = _both_kinds(members)
    predicted = _booleans(predicted, "predicted")
    _same_length(predicted, "predicted", members)
    m, n = _counts(members)
    tpr = _clopper_pearson(int(predicted[members].sum()), m)
    tnr = _clopper_pearson(int((~predicted[~members]).sum()), n)
    value = (tpr.value + tnr.value) / 2
    half_step = (1 / m + 1 / n) / 8  # one record moves the value by 1/(2m) or 1/(2n)
    below = math.hypot(tpr.value - tpr.low, tnr.value - tnr.low) / 2 + half_step
    above = math.hypot(tpr.high - tpr.value, tnr.high - tnr.value) / 2 + half_step
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0))


def accuracy(correct: ArrayLike) -> Estimate:
    """Share of records classified correctly, with its Clopper-Pearson interval (Biometrika 1934).

    Args:
        correct: (N,), booleans, at least one.

    Raises:
        ValueError: correct is not as described.
    """
    correct = _booleans(correct, "correct")
    if not len(correct):
        raise ValueError("correct is empty: the accuracy of no record is undefined")
    return _clopper_pearson(int(correct.sum()), len(correct))


def threshold(scores: ArrayLike, members: ArrayLike) -> float:
    """The t that maximises ½ (TPR + TNR) of the rule: member if score >= t.

    Candidates are +inf (nobody is called a member) and every distinct score; the lowest calls everybody a member.
    Of equally good ones the largest is returned, so an attack that learns nothing calls nobody a member.

    Args:
        scores: (N,), finite; of shadow models, where an attacker learns a threshold.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: scores or members are not as described.
    """
    return _best_threshold(*checked(scores, members))


def per_class_thresholds(scores: ArrayLike, members: ArrayLike, labels: ArrayLike, num_classes: int) -> ClassThresholds:
    """One threshold per class (Song and Mittal, USENIX Security 2021); classes that lack either kind use the global.

    Args:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.
        labels: (N,), integers from 0 to C-1.
        num_classes: C.

    Raises:
        ValueError: scores, members or labels are not as described.
    """
    scores, members = checked(scores, members)
    labels = np.asarray(labels)
    _same_length(labels, "labels", members)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"labels must be integers from 0 to {num_classes - 1} (num_classes is {num_classes})")
    thresholds = np.full(num_classes, _best_threshold(scores, members))
    by_class = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[by_class], np.arange(1, num_classes))
    fallbacks = 0
    for label, rows in enumerate(np.split(by_class, ends)):
        if members[rows].any() and not members[rows].all():
            thresholds[label] = _best_threshold(scores[rows], members[rows])
        else:
            fallbacks += 1
    return ClassThresholds(thresholds, fallbacks)


def checked(scores: ArrayLike, members: ArrayLike) -> tuple[Floats, Booleans]:
    """Scores (N,) as float64 and members (N,), or what is wrong with them.

    Raises:
        ValueError: scores that are not finite, members that are not booleans of both kinds, lengths that differ.
    """
    members = _both_kinds(members)
    scores = np.asarray(scores, dtype=np.float64)
    _same_length(scores, "scores", members)
    if not np.isfinite(scores).all():
        wrong = np.flatnonzero(~np.isfinite(scores))
        raise ValueError(
            f"scores must be finite: {len(wrong)} of {len(scores)} are NaN or infinite, first at row {wrong[0]}"
        )
    return scores, members


def with_unseen(estimate: Estimate, independent: int) -> Estimate:
    """The interval, widened to hold what outcomes that were never seen could make of the value.

    Independent outcomes that all agree still leave room for a share u of the population that differs, of which
    none was seen: (1 - u)^independent = 0.025, the Clopper-Pearson limit at n of n (u is about 3.7 / n). Methods
    that know only what was seen give such data an interval of no width. An AUC is no worse off than its min(m, n)
    disjoint pairs of a member and a non-member, whatever the distributions: these are the independent outcomes.

    Args:
        estimate: a mean of outcomes from 0 to 1.
        independent: how many independent outcomes the value is at least worth.
    """
    value, low, high = estimate
    seen = TAIL ** (1 / independent)
    return Estimate(value, min(low, value * seen), max(high, 1 - (1 - value) * seen))


def _best_threshold(scores: Floats, members: Booleans) -> float:
    """`threshold` of checked arrays: by one sort and cumulative sums."""
    order = np.argsort(-scores, kind="stable")
    falling, members = scores[order], members[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of each block of equal scores
    m, n = _counts(members)
    # m n (TPR - FPR) in integers, so that equally good thresholds are equal; nobody has 0
    gain = np.cumsum(members)[last] * n - np.cumsum(~members)[last] * m
    best = int(gain.argmax())
    return float(falling[last][best]) if gain[best] > 0 else math.inf


def _clopper_pearson(successes: int, trials: int) -> Estimate:
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, TAIL)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - TAIL)) if failures else 1.0
    return Estimate(successes / trials, low, high)


def _counts(members: Booleans) -> tuple[int, int]:
    """Numbers of members and of non-members."""
    m = int(members.sum())
    return m, len(members) - m


def _both_kinds(members: ArrayLike) -> Booleans:
    members = _booleans(members, "members")
    if members.all() or not members.any():
        m, n = _counts(members)
        raise ValueError(f"members must hold members and non-members, got {m} members and {n} non-members")
    return members


def _booleans(values: ArrayLike, name: str) -> Booleans:
    values = np.asarray(values)
    if values.dtype != np.bool_ or values.ndim != 1:
        raise ValueError(
            f"{name} must be a one-dimensional array of booleans, got {values.dtype} of shape {values.shape}"
        )
    return values


def _same_length(values: NDArray[Any], name: str, members: Booleans) -> None:
    if values.shape != members.shape:
        raise ValueError(f"{name} must have one entry per record: shape {members.shape}, got {values.shape}")
