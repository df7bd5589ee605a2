"""The answer in words: can members be told from non-members?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from miabench import metrics

FPR = 0.01
PAIRS = "pairs (50 is guessing)"

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
    ranks, finds = metrics.auc_influences(each, member), metrics.tpr_influences(each, member, FPR)
    worst, found = metrics.worst_of(ranks), metrics.worst_of(finds) if finds is not None else None
    pairs = f"{_all_of(names, len(scores))} ranks a member above a non-member in {_chosen(worst, ranks, PAIRS, names)}"
    if finds is not None and found is not None and found.low > FPR:
        who = "the strongest" if len(names) > 1 else names[0]
        pairs += f"; at {100 * FPR:g}% false alarms {who} finds {_chosen(found, finds, 'members', names)}"
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


def _all_of(names: Sequence[str], run: int) -> str:
    """Whose number it is: of several attacks no single one's, as its ends may be those of different attacks."""
    if len(names) == 1:
        return names[0]
    left_out = " that scored every record" if len(names) < run else ""
    return f"the strongest of {len(names)} attacks{left_out}, whichever it is,"


def _chosen(worst: metrics.WorstCase, influences: metrics.Influences, of: str, names: Sequence[str]) -> str:
    """The corrected number; where there was a choice, also which attack it fell on and what the table says of that."""
    said = f"{_percent(worst)} of {of}"
    if len(names) == 1:
        return said
    own = 100 * float(influences.values[worst.attack].mean())
    return f"{said}, corrected for choosing it (here {names[worst.attack]}; alone {own:.1f}%)"


def _percent(one: metrics.Estimate | metrics.WorstCase) -> str:
    return f"{100 * one.value:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]"
