"""What each defense gains and costs, in plain sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from miabench.metrics.names import GUESSING, TITLES
from miabench.reports.numbers.best import baselines, best_setting, finished_attacks, keeps_accuracy, strongest
from miabench.reports.numbers.difference import Difference, Differences
from miabench.reports.numbers.lines import SiteKey, Summary, TableRow, printed, signed


def overview(summary: Summary) -> str:
    """What was compared, and which number would mean that attacks only guess."""
    experiment = summary.index.experiment
    cells, attacks = len(summary.index.cells), len(experiment.attacks)
    trainings = "one training" if experiment.runs == 1 else f"{experiment.runs} trainings"
    guessing = f"{100 * GUESSING[summary.metric]:g}%"
    return (
        f"{cells} {'cell' if cells == 1 else 'cells'} (dataset, model and defense), {trainings} each, attacked by "
        f"{'one attack' if attacks == 1 else f'{attacks} attacks'}; attacks are measured by "
        f"{TITLES[summary.metric]}. {guessing} would be guessing."
    )


def sentences(summary: Summary, compared: Differences) -> Iterator[str]:
    """For each dataset, model and attacker: the baseline, then every defense by its strongest attack.

    Only attacks that were measured on both sides count. Of a defense with several settings one speaks (see
    `best.best_setting`).
    """
    sites: dict[SiteKey, list[TableRow]] = defaultdict(list)
    for line in summary.lines:
        sites[line.site_key].append(line)
    bases = baselines(summary.lines)
    for (dataset, model, attacker), lines in sites.items():
        where = f"{dataset}, {model}" + (f", {attacker} attacker" if len(summary.attackers) > 1 else "")
        base = bases.get(lines[0].site_key)
        top = strongest(base, list(base.attacks)) if base else None
        if base is None or top is None or base.test.mean is None:
            yield f"{where}: there is no finished cell without defense to compare with."
            continue
        yield (
            f"{where}: without defense the strongest attack, {top.attack}, reaches {printed(top.mean)}% "
            f"{_metric(summary)} at {printed(base.test.mean)}% test accuracy."
        )
        yield from _of_defenses(summary, compared, base, lines)


def _of_defenses(summary: Summary, compared: Differences, base: TableRow, lines: Sequence[TableRow]) -> Iterator[str]:
    settings: dict[str, list[TableRow]] = defaultdict(list)
    for line in lines:
        if not line.is_baseline:
            settings[line.cell.defense].append(line)
    for own in settings.values():
        yield _of_defense(summary, compared, base, own)


def _of_defense(summary: Summary, compared: Differences, base: TableRow, lines: Sequence[TableRow]) -> str:
    line = best_setting(lines, base, summary.max_accuracy_loss)
    if line is None or line.collapsed or not finished_attacks(line, base):
        return f"{lines[0].cell.defense} {_why_not(lines)}."
    kept = keeps_accuracy(line, base, summary.max_accuracy_loss)
    lacking = "" if kept else f", none within {summary.max_accuracy_loss:g} points of accuracy"
    chosen = f" (chosen on these results, of {len(lines)} settings{lacking})" if len(lines) > 1 else ""
    return f"{line.cell.label}{chosen} {_privacy(summary, compared, line, base)} and {_utility(compared, line, base)}."


def _why_not(lines: Sequence[TableRow]) -> str:
    """Why there is nothing to say of a defense."""
    if all(line.collapsed for line in lines):
        return "collapsed to chance accuracy, so its attacks say nothing"
    if all(line.cell.reason for line in lines):
        return f"cannot be used here: {lines[0].cell.reason}"
    return "has no finished result yet"


def _privacy(summary: Summary, compared: Differences, line: TableRow, base: TableRow) -> str:
    attacks = finished_attacks(line, base)
    before, after = strongest(base, attacks), strongest(line, attacks)
    if before is None or after is None:
        raise ValueError("a line without a finished attack has no sentence")
    if printed(after.mean) == printed(before.mean):
        return f"leaves the strongest attack at {printed(after.mean)}% {_metric(summary)}"
    verb = "lowers" if after.mean < before.mean else "raises"
    text = f"{verb} the strongest attack from {printed(before.mean)}% to {printed(after.mean)}% {_metric(summary)}"
    if before.attack != after.attack:
        return f"{text} ({after.attack})"
    paired = compared[line.key].attacks.get(after.attack) if line.key in compared else None
    return text if summary.metric != "auc" else text + _interval(paired)


def _utility(compared: Differences, line: TableRow, base: TableRow) -> str:
    change = 100 * ((line.test.mean or 0.0) - (base.test.mean or 0.0))
    points = f"{abs(change):.2f} points of test accuracy"
    text = f"costs {points}" if change < 0 else f"gains {points}"
    return text + _interval(compared[line.key].accuracy if line.key in compared else None)


def _interval(paired: Difference | None) -> str:
    return "" if paired is None else f" (95% interval of the change {signed(paired.low)} to {signed(paired.high)})"


def _metric(summary: Summary) -> str:
    return TITLES[summary.metric]
