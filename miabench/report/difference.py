"""How much each defended cell differs from the undefended one, paired by run and record, with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.bootstrap import crossed_auc_difference, crossed_mean_difference
from miabench.metrics import Estimate
from miabench.report.summary import Line, Summary
from miabench.results import Records, Results


@dataclass(frozen=True)
class Difference:
    """Defended minus undefended, as a fraction, with a 95% interval over trainings and records.

    Attributes:
        n_members: records that are members under both.
        n_nonmembers: records that are non-members under both.
        runs: finished under both; the interval of one run is over records alone.
    """

    value: float
    low: float
    high: float
    n_members: int
    n_nonmembers: int
    runs: int


@dataclass(frozen=True)
class Comparison:
    """What one defended line differs by: in test accuracy, and in the AUC of each attack that both have."""

    accuracy: Difference | None
    attacks: Mapping[str, Difference]


class Pair(NamedTuple):
    """The numbers of two cells on the records and runs that both have: axes R runs, N records."""

    members: NDArray[np.bool_]  # (N,)
    defended: NDArray[np.float64]  # (R, N)
    undefended: NDArray[np.float64]  # (R, N)


Differences: TypeAlias = Mapping[tuple[str, ...], Comparison]


def compare(results: Results, summary: Summary) -> Differences:
    """Compare every defended line with the undefended one of its dataset, model and attacker.

    Only records that are members, or non-members, under both count: a defense that withholds records is compared on
    the others. Both are resampled by the same draws of runs and of records (crossed: the runs share their records).

    Returns:
        By the line's key; lines that share nothing with an undefended one are left out.
    """
    compared: dict[tuple[str, ...], Comparison] = {}
    for line in summary.lines:
        baseline = summary.baseline(line)
        if baseline is None or line.undefended:
            continue
        comparison = _compare(results, line, baseline)
        if comparison.accuracy or comparison.attacks:
            compared[line.key] = comparison
    return compared


def _compare(results: Results, line: Line, baseline: Line) -> Comparison:
    attacks = {}
    for attack in line.attacks:
        pair = _pair(results, line, baseline, attack)
        if pair is not None and pair.members.any() and not pair.members.all():
            estimate = crossed_auc_difference(pair.defended, pair.undefended, pair.members)
            attacks[attack] = _difference(estimate, pair)
    pair = _pair(results, line, baseline, None)
    if pair is None or pair.members.all():
        return Comparison(None, attacks)
    estimate = crossed_mean_difference(pair.defended[:, ~pair.members], pair.undefended[:, ~pair.members])
    return Comparison(_difference(estimate, pair), attacks)


def in_common(defended: Records, undefended: Records) -> Pair | None:
    """The runs that both have, on the records that are members, or non-members, of both, in the order of their rows.

    None where they share no run.
    """
    runs, r, s = np.intersect1d(defended.runs, undefended.runs, return_indices=True)
    if not len(runs):
        return None
    _, i, j = np.intersect1d(defended.rows, undefended.rows, return_indices=True)
    same = defended.members[i] == undefended.members[j]
    i, j = i[same], j[same]
    return Pair(defended.members[i], defended.values[np.ix_(r, i)], undefended.values[np.ix_(s, j)])


def _pair(results: Results, line: Line, baseline: Line, attack: str | None) -> Pair | None:
    attacker = None if attack is None else line.attacker
    defended, undefended = (results.records(one.cell, attacker, attack) for one in (line, baseline))
    if defended is None or undefended is None:
        return None
    return in_common(defended, undefended)


def _difference(estimate: Estimate, pair: Pair) -> Difference:
    n_members = int(pair.members.sum())
    return Difference(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n_members=n_members,
        n_nonmembers=len(pair.members) - n_members,
        runs=len(pair.defended),
    )
