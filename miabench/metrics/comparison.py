"""Which differences hold: Holm's correction over a family, how many runs would be needed, wins, ties and losses.

A family is all differences among which a reader may choose: the settings of all defenses of one dataset, model and
attacker in one column (one attack, one metric), or all settings that were tried where the best is taken. Simulated
where nothing differs (benchmarks/coverage.py), with 3 or 5 runs: some setting of 4 or 18 is called lower in 0 to 3%
of cases, without the correction in 4 to 27%. Three runs rarely show a true difference in AUC of .03 on 1,000 records:
in 31% of cases if it is the only one, in 1% among 18.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from miabench.metrics.estimates import TAIL, Floats
from miabench.metrics.over_runs import Difference
from miabench.metrics.spread import Spread

LEVEL = 2 * TAIL
FEWEST_RUNS = 3  # below, nothing is called distinguishable: one run shows no spread, two hardly any
MOST_RUNS = 200
POWER = 0.8
ROUNDED = 1 - 1e-6  # for quantiles that rounding may have moved

Word = Literal["lower", "higher", "not distinguishable"]


class Verdict(NamedTuple):
    """What a family's difference may be called.

    Attributes:
        word: "lower" and "higher" only where the corrected p-value is below .05.
        p: corrected by Holm over the family.
        runs_needed: about how many runs would tell, where it is not distinguishable; None where it is, or where no
            number up to 200 would: more records, not more runs.
    """

    word: Word
    p: float
    runs_needed: int | None


def holm(p_values: ArrayLike) -> Floats:
    """P-values corrected for as many comparisons (Holm, Scandinavian Journal of Statistics 1979).

    The k-th smallest of m is multiplied by m - k + 1; none is below one that was smaller before, none above 1.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])

    Args:
        p_values: (m,), from 0 to 1.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty_like(p_values)
    factors = np.arange(len(p_values), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected


def verdicts(family: Sequence[Difference]) -> list[Verdict]:
    """What each difference of a family may be called."""
    corrected = holm([one.p for one in family])
    return [_verdict(one, float(p), len(family)) for one, p in zip(family, corrected, strict=True)]


def _verdict(one: Difference, p: float, comparisons: int) -> Verdict:
    word = _word(one, p)
    needed = runs_needed(one, comparisons) if word == "not distinguishable" else None
    return Verdict(word, p, needed)


def _word(one: Difference, p: float) -> Word:
    if p >= LEVEL or one.spread is None or one.spread.n_runs < FEWEST_RUNS:
        return "not distinguishable"
    return "lower" if one.value < 0 else "higher"


def runs_needed(one: Difference, comparisons: int = 1) -> int | None:
    """About how many runs would show a difference of this size in four of five experiments.

    The smallest n above the runs at hand, up to 200, with |theta| >= (t(1 - .025/m; nu) + t(.8; nu)) sqrt V(n): power
    80% at the level that Holm's correction asks of the smallest of m p-values. Records stay as they are:
    V(n) = max(0, D - I) + R max(Q, I) / n. Rough, since the difference itself is only estimated.

    Args:
        one: a difference over 2 runs or more.
        comparisons: m, how many differences its family has.

    Returns:
        None where no such n would do, or where nothing is known about the spread over runs.
    """
    if one.spread is None or one.spread.n_runs < 2:
        return None
    runs = np.arange(one.spread.n_runs + 1, MOST_RUNS + 1)
    variance, freedom = _with_runs(one.spread, runs)
    least = ndtri(POWER) - ndtri(TAIL / comparisons)  # quantiles of t, which take long, are farther out
    able = abs(one.value) >= ROUNDED * least * np.sqrt(variance)
    runs, variance, freedom = runs[able], variance[able], freedom[able]
    reach = (-stdtrit(freedom, TAIL / comparisons) + stdtrit(freedom, POWER)) * np.sqrt(variance)
    enough = runs[abs(one.value) >= reach]
    return int(enough[0]) if len(enough) and one.value else None


def _with_runs(parts: Spread, runs: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """V(n) and its degrees of freedom, for several n."""
    records = np.maximum(0, parts.records - parts.interaction)
    over_runs = parts.n_runs * np.maximum(parts.runs, parts.interaction) / runs
    variance = records + over_runs
    unsure = over_runs**2 / (runs - 1) + records**2 / (parts.fewest - 1)
    freedom = np.divide(variance**2, unsure, out=np.zeros_like(variance), where=unsure > 0)
    return variance, np.maximum(runs - 1, freedom)


def win_tie_loss(size: int, pairs: Mapping[tuple[int, int], Difference]) -> NDArray[np.int8]:
    """Who leaks less than whom: 1 where the row is lower than the column, -1 where higher, 0 where neither is shown.

    All pairs are one family.

    >>> from miabench.metrics import auc_influences, difference
    >>> members = np.arange(200) < 100
    >>> noise = np.random.default_rng(0).normal(size=(5, 200))
    >>> a, b, c = (auc_influences(gain * members + noise, members) for gain in (0.5, 0.5, 2.0))
    >>> win_tie_loss(3, {(0, 1): difference(a, b), (0, 2): difference(a, c), (1, 2): difference(b, c)}).tolist()
    [[0, 0, 1], [0, 0, 1], [-1, -1, 0]]

    Args:
        size: S, how many are compared.
        pairs: the first of two minus the second, each pair once; one that is not there cannot be told.

    Returns:
        (S, S).
    """
    signs = {"lower": 1, "higher": -1, "not distinguishable": 0}
    matrix = np.zeros((size, size), dtype=np.int8)
    corrected = holm([one.p for one in pairs.values()])
    for (i, j), one, p in zip(pairs, pairs.values(), corrected, strict=True):
        matrix[i, j] = signs[_word(one, float(p))]
    return matrix - matrix.T
