"""How much each defended cell differs from the baseline, paired by run and record, with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.metrics.bootstrap import Replicates, auc_replicates, difference, mean_replicates
from miabench.reports.numbers.best import baselines
from miabench.reports.numbers.lines import RowKey, Summary, TableRow
from miabench.results.results import Records, Results


@dataclass(frozen=True)
class Difference:
    """Defended minus baseline, as a fraction, with a 95% interval over trainings and records.

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
    baseline: NDArray[np.float64]  # (R, N)


Differences: TypeAlias = Mapping[RowKey, Comparison]


def compare(results: Results, summary: Summary) -> Differences:
    """Compare every defended line with the baseline of its dataset, model and attacker.

    Only records that are members, or non-members, under both count: a defense that withholds records is compared on
    the others. Both are resampled by the same draws of runs and of records (crossed: the runs share their records).

    Returns:
        By the line's key; lines that share nothing with a baseline are left out.
    """
    compared: dict[RowKey, Comparison] = {}
    bases = {site_key: _Baseline(results, line) for site_key, line in baselines(summary.lines).items()}
    for line in summary.lines:
        if line.is_baseline or line.site_key not in bases:
            continue
        comparison = _compare(results, line, bases[line.site_key])
        if comparison.accuracy or comparison.attacks:
            compared[line.key] = comparison
    return compared


class _Baseline:
    """What lines are compared with: read once, and resampled once for all lines that share runs and records with it."""

    def __init__(self, results: Results, line: TableRow) -> None:
        self.results = results
        self.line = line
        self._records: dict[str | None, Records | None] = {}
        self._last: dict[str | None, tuple[Pair, Replicates]] = {}

    def records(self, attack: str | None) -> Records | None:
        """An attack's scores, or (without one) whether records are classified correctly."""
        if attack not in self._records:
            self._records[attack] = _records(self.results, self.line, attack)
        return self._records[attack]

    def replicates(self, attack: str | None, pair: Pair) -> Replicates:
        """The baseline's side of a pair."""
        if attack in self._last:
            last, replicates = self._last[attack]
            if np.array_equal(last.members, pair.members) and np.array_equal(last.baseline, pair.baseline):
                return replicates
        replicates = _replicates(attack, pair.baseline, pair.members)
        self._last[attack] = pair, replicates
        return replicates


def _compare(results: Results, line: TableRow, baseline: _Baseline) -> Comparison:
    found = {attack: _difference(results, line, baseline, attack) for attack in (None, *line.attacks)}
    attacks = {attack: one for attack, one in found.items() if attack is not None and one is not None}
    return Comparison(found[None], attacks)


def _difference(results: Results, line: TableRow, baseline: _Baseline, attack: str | None) -> Difference | None:
    records, others = _records(results, line, attack), baseline.records(attack)
    pair = in_common(records, others) if records and others else None
    if pair is None or pair.members.all() or (attack is not None and not pair.members.any()):
        return None
    defended = _replicates(attack, pair.defended, pair.members)
    n_members = int(pair.members.sum())
    return Difference(
        *difference(defended, baseline.replicates(attack, pair)),
        n_members=n_members,
        n_nonmembers=len(pair.members) - n_members,
        runs=len(pair.defended),
    )


def _replicates(attack: str | None, values: NDArray[np.float64], members: NDArray[np.bool_]) -> Replicates:
    return mean_replicates(values[:, ~members]) if attack is None else auc_replicates(values, members)


def _records(results: Results, line: TableRow, attack: str | None) -> Records | None:
    return results.records(line.cell, None if attack is None else line.attacker, attack)


def in_common(defended: Records, baseline: Records) -> Pair | None:
    """The runs that both have, on the records that are members, or non-members, of both, in the order of their rows.

    None where they share no run.
    """
    runs, r, s = np.intersect1d(defended.runs, baseline.runs, return_indices=True)
    if not len(runs):
        return None
    _, i, j = np.intersect1d(defended.rows, baseline.rows, return_indices=True)
    same = defended.members[i] == baseline.members[j]
    i, j = i[same], j[same]
    return Pair(defended.members[i], defended.values[np.ix_(r, i)], baseline.values[np.ix_(s, j)])
