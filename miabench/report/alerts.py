"""What a reader should doubt: few trainings, few shadow models, jobs that failed or are missing, and other warnings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from miabench.report import footnotes
from miabench.report.summary import Statistic, Summary

FEW_RUNS = 3  # with fewer trainings a spread says next to nothing
NAMED = 5  # cells that are named before the others are counted


def alerts(summary: Summary) -> Iterator[str]:
    """Warnings, each a sentence without a full stop."""
    experiment = summary.index.experiment
    if experiment.runs < FEW_RUNS:
        trainings = "one training" if experiment.runs == 1 else f"{experiment.runs} trainings"
        yield f"{trainings} per cell: too few to tell a defense from luck; --runs 5 is usual"
    if experiment.shadows == 1:
        yield "one shadow model for each target: attacks learn from little; --shadows 5 is usual"
    yield from summary.warnings
    yield from _absent(summary)
    yield from dict.fromkeys(footnotes.unfinished(summary))
    collapsed = [f"{line.cell.model} {line.cell.label}" for line in summary.lines if line.collapsed]
    if collapsed:
        yield f"test accuracy is at chance in {_names(dict.fromkeys(collapsed))}: attacks on them say nothing"


def _absent(summary: Summary) -> Iterator[str]:
    """Values without a single finished run, though they exist, by state and reason."""
    groups: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for line in summary.lines:
        for value in (line.train, line.test, *line.attacks.values()):
            if _is_absent(value):
                groups[value.state, value.reason or ""][f"{line.cell.model} {line.cell.label}"] = None
    for (state, reason), cells in groups.items():
        yield f"{'failed' if state == 'failed' else 'missing'} in {_names(cells)}: {reason}"


def _is_absent(value: Statistic) -> bool:
    return value.state in ("failed", "missing")


def _names(cells: dict[str, None]) -> str:
    names = list(cells)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
