"""What a reader should doubt: few trainings or shadow models, failed or missing jobs, values unlike a paper's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from miabench.reports.numbers.deviations import Deviation, deviations
from miabench.reports.numbers.evidence import Change, Judgement
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import RunStats, Summary, printed, signed
from miabench.reports.numbers.names import quantity_name
from miabench.reports.words import footnotes

FEW_RUNS = 3  # with fewer trainings a spread says next to nothing
NAMED = 5  # cells (or values) that are named before the others are counted
OUTSIDE = "published value outside the spread"


def alerts(summary: Summary, judged: Judgement) -> Iterator[str]:
    """Warnings, each a sentence without a full stop."""
    experiment = summary.index.experiment
    if not experiment.paired and experiment.runs < FEW_RUNS:
        trainings = "one training" if experiment.runs == 1 else f"{experiment.runs} trainings"
        yield f"{trainings} per cell: too few to tell a defense from luck; --runs 5 is usual"
    if experiment.shadows == 1:
        yield "one shadow model for each target: attacks learn from little; --shadows 5 is usual"
    yield from summary.warnings
    yield from _absent(summary)
    yield from dict.fromkeys(footnotes.unfinished(summary))
    collapsed = [f"{line.cell.model} {line.cell.label}" for line in summary.lines if line.collapsed]
    if collapsed:
        yield f"nothing was learnt in {_names(dict.fromkeys(collapsed))}: attacks on them say nothing"
    yield from turned(summary, judged)
    yield from _not_reproduced(summary)


def turned(summary: Summary, judged: Judgement) -> Iterator[str]:
    """Where a defense leaks less by AUC and more where false alarms are few; what may be chance, in one sentence."""
    unsure: dict[str, None] = {}
    for line in summary.lines:
        changes = judged.lines[line.key].changes
        for level in levels(summary.index):
            auc, low = (changes.get(Column(level, metric)) for metric in ("auc", "tpr@1%"))
            if not (auc and low and auc.value < 0 < low.value):
                continue
            if low.verdict.word == "not distinguishable":
                unsure[f"{line.cell.model} {line.cell.label}"] = None
            else:
                shown = auc.verdict.word != "not distinguishable"
                yield (
                    f"{line.cell.dataset}, {line.cell.model} {line.cell.label} leaks less by AUC ({_change(auc)}) and "
                    f"more at 1% false positives ({_change(low)}) to {level} attacks: it "
                    f"{'hides most records and exposes some' if shown else 'may hide most records and expose some'}"
                )
    if unsure:
        yield (
            f"less leakage by AUC, but not at 1% false positives, where what there is more is not distinguishable from "
            f"chance, in {_names(unsure)}: most records may be hidden and some exposed"
        )


def _change(change: Change) -> str:
    unsure = "" if change.verdict.word != "not distinguishable" else ", not distinguishable"
    return f"{signed(change.value)} points{unsure}"


def _not_reproduced(summary: Summary) -> Iterator[str]:
    """Published values that the measured ones differ from by more than the spread of both allows."""
    found = deviations(summary)
    for value in found.values[:NAMED]:
        yield f"{OUTSIDE}: {_in_words(value)}"
    if found.values:
        yield (
            f"{OUTSIDE}: {len(found.values)} of {found.tried} compared (about 1 in 20 would be so by chance); side by "
            "side: miabench report --compare uai24"
        )
    yield from found.warnings


def _in_words(value: Deviation) -> str:
    quantity = quantity_name(value.quantity)
    published, measured = (f"{printed(one.mean)} (±{printed(one.std)})" for one in (value.published, value.measured))
    where = f"{value.paper.dataset} {value.paper.model} {value.line.cell.label}"
    return f"{where}, {quantity}: published {published}, measured {measured}"


def _absent(summary: Summary) -> Iterator[str]:
    """Values without a single finished run, though they exist, by state and reason."""
    groups: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for line in summary.lines:
        for value in (line.train, line.test, *line.attacks.values()):
            if _is_absent(value):
                groups[value.state, value.reason or ""][f"{line.cell.model} {line.cell.label}"] = None
    for (state, reason), cells in groups.items():
        yield f"{'failed' if state == 'failed' else 'missing'} in {_names(cells)}: {reason}"


def _is_absent(value: RunStats) -> bool:
    return value.state in ("failed", "missing")


def _names(cells: dict[str, None]) -> str:
    names = list(cells)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
