"""What an attacker gets who learns a threshold on shadow models and applies it to the target.

A threshold chosen on the target's own scores (`tpr_at_fpr`) overstates the attacker, who does not know who is a member.
"""

from __future__ import annotations

from typing import NamedTuple

from miabench.metrics.curve import point_at_fpr
from miabench.metrics.decisions import false_positive_rate, positive_predictive_value, true_positive_rate
from miabench.metrics.estimates import Booleans, Estimate, Floats, checked
from miabench.metrics.names import Calibrated


class Scored(NamedTuple):
    """An attack's scores.

    Attributes:
        scores: (N,), finite.
        members: (N,), booleans, both kinds present.
    """

    scores: Floats
    members: Booleans


def at_shadow_threshold(metric: Calibrated, target: Scored, shadows: Scored) -> Estimate | None:
    """A rate of the target at the last threshold whose false positive rate on the shadows is at most `metric.fpr`.

    The interval is about the target's records and takes the threshold as given. The realised rate on the target may
    well be above the one asked for: it is a metric of its own (`calibrated_fpr`).

    >>> import numpy as np
    >>> shadows = Scored(np.array([5.0, 4, 3, 2]), np.array([True, False, True, False]))
    >>> target = Scored(np.array([4.5, 4, 1, 4]), np.array([True, True, False, False]))
    >>> at_shadow_threshold(Calibrated("tpr", fpr=0.5), target, shadows).value
    1.0
    >>> at_shadow_threshold(Calibrated("fpr", fpr=0.5), target, shadows).value
    0.5

    Args:
        metric: which rate, at which false positive rate on the shadows.
        target: one target's scores.
        shadows: those of all shadow models, one after the other.

    Returns:
        None if the shadows have fewer than 1/fpr non-members, or, for a predictive value, if nobody is called a member.

    Raises:
        ValueError: scores, members or the metric's fractions are not as described.
    """
    scores, members = checked(*target)
    point = point_at_fpr(*shadows, metric.fpr)
    if point is None:
        return None
    called = scores >= point.threshold
    if metric.prior is not None:
        return positive_predictive_value(called, members, metric.prior)
    return true_positive_rate(called, members) if metric.rate == "tpr" else false_positive_rate(called, members)
