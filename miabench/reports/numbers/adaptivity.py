"""The adaptivity gap: what an attacker gains by training shadow models under the defense instead of without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from miabench.reports.numbers.summary import Line, Summary

Gaps: TypeAlias = Mapping[tuple[str, str, str], Mapping[str, float]]


def adaptivity_gaps(summary: Summary) -> Gaps:
    """Mean of the metric under the adaptive attacker minus that under the non-adaptive one.

    Returns:
        Fractions, by (dataset, model, label) and attack; empty unless both attackers were run.
    """
    lines = {(line.cell.dataset, line.cell.model, line.cell.label, line.attacker): line for line in summary.lines}
    return {
        key: _gap(line, lines[*key, "non-adaptive"])
        for (*names, attacker), line in lines.items()
        if attacker == "adaptive" and (*names, "non-adaptive") in lines
        for key in [(names[0], names[1], names[2])]
    }


def _gap(adaptive: Line, other: Line) -> dict[str, float]:
    pairs = {attack: (value.mean, other.attacks[attack].mean) for attack, value in adaptive.attacks.items()}
    return {attack: a - b for attack, (a, b) in pairs.items() if a is not None and b is not None}
