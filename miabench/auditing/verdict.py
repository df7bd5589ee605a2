"""The answer in words: can members be told from non-members?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from miabench import metrics

FPR = 0.01

Array = NDArray[np.float64]


def verdict(scores: Mapping[str, Array], member: NDArray[np.bool_]) -> str:
    """One sentence that follows the interval of the strongest attack, corrected for its choice among all.

    Args:
        scores: of each attack (N,); those that lack some records do not take part.
        member: whether each record is a member (N,).
    """
    full = {name: values for name, values in scores.items() if not np.isnan(values).any()}
    if not full:
        return "nothing can be said: no attack could be run"
    names = list(full)
    each = np.stack(list(full.values()))[:, None]  # (attacks, 1 run, N)
    worst = metrics.worst_of(metrics.auc_influences(each, member))
    rates = metrics.tpr_influences(each, member, FPR)
    found = metrics.worst_of(rates) if rates is not None else None
    best = f"{names[worst.attack]}, the strongest of {len(names)} attacks," if len(names) > 1 else names[0]
    pairs = f"{best} ranks a member above a non-member in {_percent(worst)} of pairs (50 is guessing)"
    if found is not None and found.low > FPR:
        pairs += f"; {names[found.attack]} finds {_percent(found)} of members at {100 * FPR:g}% false alarms"
    if worst.low > 0.5 or (found is not None and found.low > FPR):
        return f"members can be told from non-members: {pairs}"
    lowest = metrics.worst_of(metrics.auc_influences(-each, member))
    if lowest.low > 0.5:
        turned = metrics.auc(scores[names[lowest.attack]], member)
        return (
            f"members can be told from non-members, but the wrong way round: {names[lowest.attack]} ranks a member "
            f"above a non-member in {_percent(turned)} of pairs only (50 is guessing)"
        )
    return f"members were not told from non-members: {pairs}, and the interval holds 50; stronger attacks may find more"


def _percent(one: metrics.Estimate | metrics.WorstCase) -> str:
    return f"{100 * one.value:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]"
