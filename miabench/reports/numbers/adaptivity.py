"""The adaptivity gap: what an attacker gains by training shadow models under the defense instead of without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from miabench.reports.numbers.lines import Summary, TableRow
from miabench.results.index import CellKey

Gaps: TypeAlias = Mapping[CellKey, Mapping[str, float]]


def adaptivity_gaps(summary: Summary) -> Gaps:
    """Mean of the metric under the adaptive attacker minus that under the non-adaptive one.

    Returns:
        Fractions, by cell and attack; empty unless both attackers were run.
    """
    non_adaptive = {line.cell.key: line for line in summary.lines if line.attacker == "non-adaptive"}
    adaptive = {line.cell.key: line for line in summary.lines if line.attacker == "adaptive"}
    return {key: _gap(line, non_adaptive[key]) for key, line in adaptive.items() if key in non_adaptive}


def _gap(adaptive: TableRow, other: TableRow) -> dict[str, float]:
    pairs = {attack: (value.mean, other.attacks[attack].mean) for attack, value in adaptive.attacks.items()}
    return {attack: a - b for attack, (a, b) in pairs.items() if a is not None and b is not None}
