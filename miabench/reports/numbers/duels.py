"""Every defense against every other: which leaks less in the worst case, as far as that can be told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.metrics import win_tie_loss
from miabench.reports.numbers.best import one_per_defense
from miabench.reports.numbers.evidence import Judgement, worst_between
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import SiteKey, Summary, TableRow
from miabench.results.results import Results


class Duels(NamedTuple):
    """One dataset, model and attacker.

    Attributes:
        lines: one setting of each defense, S of them (see `best.best_setting`).
        outcomes: 1 where the row leaks less than the column, -1 where more, 0 where neither is shown, (S, S).
    """

    lines: tuple[TableRow, ...]
    outcomes: NDArray[np.int8]


Matrices: TypeAlias = Mapping[SiteKey, Duels]


def duels(results: Results, summary: Summary, judged: Judgement) -> Matrices:
    """The worst case of all attacks, by the summary's metric; where there are three defenses or more, with none."""
    known = list(levels(summary.index))
    if not known:
        return {}
    column = Column(known[-1], summary.metric)
    found = {}
    for site_key in dict.fromkeys(line.site_key for line in summary.lines):
        able = [line for line in summary.lines if line.site_key == site_key and not line.collapsed]
        lines = [line for line in one_per_defense(summary, able) if column in judged.lines[line.key].worst]
        if len(lines) > 2:
            pairs = {}
            for i, j in itertools.combinations(range(len(lines)), 2):
                if change := worst_between(results, summary, lines[i], lines[j], column):
                    pairs[i, j] = change.found
            found[site_key] = Duels(tuple(lines), win_tie_loss(len(lines), pairs))
    return found
