"""The adaptivity gap: what an attacker gains by training shadow models under the defense instead of without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from miabench.reports.numbers.evidence import Change, attack_between
from miabench.reports.numbers.lines import Summary
from miabench.results.index import CellKey
from miabench.results.results import Results

Gaps: TypeAlias = Mapping[CellKey, Mapping[str, Change]]


def adaptivity_gaps(results: Results, summary: Summary) -> Gaps:
    """Mean of the metric under the adaptive attacker minus that under the non-adaptive one, with an interval.

    Returns:
        By cell and attack; empty unless both attackers were run. Attacks of which a metric has no intervals are left
        out.
    """
    others = {line.cell.key: line for line in summary.lines if line.attacker == "non-adaptive"}
    found = {}
    for line in summary.lines:
        if line.attacker == "adaptive" and line.cell.key in others:
            changes = {
                name: attack_between(results, summary, line, others[line.cell.key], name) for name in line.attacks
            }
            found[line.cell.key] = {name: change for name, change in changes.items() if change is not None}
    return found
