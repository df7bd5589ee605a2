"""Loss-rank correlation (LRC; Kaya and Dumitras, ICML 2021): whether two defenses find the same records hard.

    LRC = mean over targets of Spearman's rank correlation between the records' losses -log p_y under two defenses

of targets of one run, which have the same members, initial weights and batch orders. Members and non-members are
correlated apart: together the gap between them alone would make losses alike. Records that either defense withholds are
left out. What LRC two trainings of one defense reach, on other seeds, stands in the diagonal: chance in training keeps
even these below 1. Intervals are over records and runs at once (see `miabench.metrics.rank_correlation`); the diagonal,
which takes every training twice, has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from miabench.evaluation.scores import TargetValues
from miabench.logprob import log_odds
from miabench.metrics import Influences, over_union, rank_correlation_influences, rank_correlation_over_runs
from miabench.reports.numbers.best import one_per_defense
from miabench.reports.numbers.influences import Runs, cut, shared
from miabench.reports.numbers.lines import Site, Summary, TableRow
from miabench.results.index import Cell
from miabench.results.results import Results

KINDS = {"members": True, "non-members": False}


class Correlation(NamedTuple):
    """The LRC of two defenses.

    Attributes:
        value: from -1 to 1.
        low: lower end of its 95% interval; None in the diagonal.
        high: upper end.
        runs: over which it is the mean.
        n_records: that are correlated, in the run that has fewest.
    """

    value: float
    low: float | None
    high: float | None
    runs: int
    n_records: int


class LossRanks(NamedTuple):
    """The LRC of every two defenses of one dataset and model, on members or on non-members.

    Attributes:
        records: `members` or `non-members`.
        lines: one setting of each defense, S of them (see `best.best_setting`).
        found: by the positions of two lines, the smaller first; what cannot be told is left out: where fewer than two
            records are shared, or all records have one loss, or a diagonal lacks a second run.
    """

    records: str
    lines: tuple[TableRow, ...]
    found: Mapping[tuple[int, int], Correlation]

    @property
    def site(self) -> Site:
        """The dataset and the model."""
        return self.lines[0].site

    def between(self, one: int, other: int) -> Correlation | None:
        """The LRC of two lines by their positions, in any order."""
        return self.found.get((min(one, other), max(one, other)))


def loss_ranks(results: Results, summary: Summary) -> list[LossRanks]:
    """Of each dataset and model where two defenses, or one and none, were trained and did not collapse."""
    first = [line for line in summary.lines if line.attacker == summary.attackers[0] and not line.collapsed]
    found = []
    for site in dict.fromkeys(line.site for line in first):
        lines = tuple(one_per_defense(summary, [line for line in first if line.site == site]))
        if len(lines) > 1:
            step = 2 if results.index.experiment.paired else 1  # the models of a pair share no member
            losses = [_log_odds(results, line.cell) for line in lines]
            found += [LossRanks(name, lines, _correlations(losses, kind, step)) for name, kind in KINDS.items()]
    return [one for one in found if one.found]


def loss_rank_rows(found: Sequence[LossRanks]) -> Iterator[dict[str, Any]]:
    """One object for every two defenses, and for each with itself, values not rounded."""
    for one in found:
        for (i, j), correlation in sorted(one.found.items()):
            first, second = one.lines[i].cell, one.lines[j].cell
            yield {
                **one.site._asdict(),
                "records": one.records,
                "defense": first.defense,
                "params": first.params,
                "other_defense": second.defense,
                "other_params": second.params,
                **correlation._asdict(),
            }


def _log_odds(results: Results, cell: Cell) -> Runs:
    """Log odds of the true class: they rank as the loss does, the other way round, and large ones do not tie."""
    return {
        run: TargetValues(log_odds(one.logits, one.labels), one.members, one.labels, one.rows)
        for run, one in results.answers_by_run(cell)
    }


def _correlations(losses: list[Runs], kind: bool, step: int) -> dict[tuple[int, int], Correlation]:
    found: dict[tuple[int, int], Correlation] = {}
    for i, j in itertools.combinations_with_replacement(range(len(losses)), 2):
        influences = _influences(losses[i], _others(losses[i], step) if i == j else losses[j], kind)
        if influences is not None:
            value, *ends = rank_correlation_over_runs(influences)
            low, high = (None, None) if i == j else ends
            found[i, j] = Correlation(value, low, high, influences.runs, influences.fewest)
    return found


def _others(runs: Runs, step: int) -> Runs:
    """In place of each run another one of the same defense, each once; none where there is no other."""
    known = sorted(runs)
    return {run: runs[known[(i + step) % len(known)]] for i, run in enumerate(known)} if len(known) > step else {}


def _influences(one: Runs, other: Runs, kind: bool) -> Influences | None:
    """Of (1 + rho) / 2 in the runs that both have, on the records that are members, or not, under both."""
    scope = shared([one, other])
    if scope is None:
        return None
    rows = {run: own[scope.members[run] == kind] for run, own in scope.rows.items()}
    each = [
        rank_correlation_influences(cut(one[run], own).values, cut(other[run], own).values) for run, own in rows.items()
    ]
    known = [found for found in each if found is not None]
    return over_union(known, [*rows.values()], reduce(np.union1d, rows.values())) if len(known) == len(each) else None
