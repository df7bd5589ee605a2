"""What each defense gains and costs, in plain sentences whose verbs follow the intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from miabench.metrics.names import GUESSING, TITLES
from miabench.reports.numbers.best import baselines, best_setting, finished_attacks, keeps_accuracy
from miabench.reports.numbers.evidence import Change, Judgement
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import SiteKey, Summary, TableRow, printed, signed
from miabench.reports.numbers.names import repetitions
from miabench.reports.numbers.recommendation import Recommendation, in_words
from miabench.reports.numbers.stored import ACCURACY, Worst


def overview(summary: Summary) -> str:
    """What was compared, and which number would mean that attacks only guess."""
    experiment = summary.index.experiment
    cells, attacks = len(summary.index.cells), len(summary.lines[0].attacks) if summary.lines else 0
    runs = experiment.models if experiment.paired else experiment.runs
    trainings = "one training" if runs == 1 else f"{runs} trainings"
    guessing = f"{100 * GUESSING[summary.metric]:g}%"
    return (
        f"Experiment {experiment.name}: {cells} {'cell' if cells == 1 else 'cells'} (dataset, model and defense), "
        f"{trainings} each, attacked by {'one attack' if attacks == 1 else f'{attacks} attacks'}; attacks are measured "
        f"by {TITLES[summary.metric]}. {guessing} would be guessing."
    )


def answer(advice: Sequence[Recommendation]) -> Iterator[str]:
    """Which defense to use, and how sure that is."""
    yield from (f"{in_words(one)}." for one in advice)


def sentences(summary: Summary, judged: Judgement) -> Iterator[str]:
    """For each dataset, model and attacker: the baseline, then every defense, by the strongest of all attacks.

    Of a defense with several settings one speaks (see `best.best_setting`).
    """
    sites: dict[SiteKey, list[TableRow]] = defaultdict(list)
    for line in summary.lines:
        sites[line.site_key].append(line)
    bases = baselines(summary.lines)
    for (dataset, model, attacker), lines in sites.items():
        where = f"{dataset}, {model}" + (f", {attacker} attacker" if len(summary.attackers) > 1 else "")
        base = bases.get(lines[0].site_key)
        worst = None if base is None else _worst(summary, judged, base)
        if base is None or worst is None or base.test.mean is None:
            yield f"{where}: there is no finished cell without defense to compare with."
            continue
        yield (
            f"{where}: without defense the strongest attack, {_named(worst)}, reaches {printed(worst.case.value)}% "
            f"{TITLES[summary.metric]} at {printed(base.test.mean)}% test accuracy."
        )
        yield from _of_defenses(summary, judged, base, lines)


def _worst(summary: Summary, judged: Judgement, line: TableRow) -> Worst | None:
    """The strongest of all attacks."""
    return judged.lines[line.key].worst.get(_widest(summary))


def _widest(summary: Summary) -> Column:
    return Column([*levels(summary.index)][-1], summary.metric)


def _of_defenses(summary: Summary, judged: Judgement, base: TableRow, lines: Sequence[TableRow]) -> Iterator[str]:
    settings: dict[str, list[TableRow]] = defaultdict(list)
    for line in lines:
        if not line.is_baseline:
            settings[line.cell.defense].append(line)
    for own in settings.values():
        yield _of_defense(summary, judged, base, own)


def _of_defense(summary: Summary, judged: Judgement, base: TableRow, lines: Sequence[TableRow]) -> str:
    line = best_setting(lines, base, summary.max_accuracy_loss)
    worst = None if line is None else _worst(summary, judged, line)
    if line is None or worst is None or line.collapsed or not finished_attacks(line, base):
        return f"{lines[0].cell.defense} {_why_not(lines)}."
    kept = keeps_accuracy(line, base, summary.max_accuracy_loss)
    lacking = "" if kept else f", none within {summary.max_accuracy_loss:g} points of accuracy"
    chosen = f" (chosen on these results, of {len(lines)} settings{lacking})" if len(lines) > 1 else ""
    changes = judged.lines[line.key].changes
    name = f"{line.cell.label}{chosen}"
    privacy = _privacy(name, worst, changes.get(_widest(summary)), summary)
    return f"{privacy}; {_utility(changes.get(ACCURACY), line, base)}."


def _why_not(lines: Sequence[TableRow]) -> str:
    """Why there is nothing to say of a defense."""
    if all(line.collapsed for line in lines):
        return "collapsed to chance accuracy, so its attacks say nothing"
    if all(line.cell.reason for line in lines):
        return f"cannot be used here: {lines[0].cell.reason}"
    return "has no finished result yet"


def _privacy(name: str, worst: Worst, change: Change | None, summary: Summary) -> str:
    value = f"{printed(worst.case.value)}% {TITLES[summary.metric]} ({_named(worst)})"
    reaches = f"against {name} the strongest attack reaches {value}"
    if change is None:
        return f"{reaches}, on other records or runs than without defense"
    apart = f"a change of {signed(change.value)} points{_interval(change)}"
    if change.verdict.word == "not distinguishable":
        needed = _needed(change, summary.index.experiment.paired)
        return f"{reaches}, {apart}: not distinguishable from no defense ({needed})"
    verb = "lowers" if change.verdict.word == "lower" else "raises"
    return f"{name} {verb} the strongest attack to {value}, {apart}"


def _named(worst: Worst) -> str:
    """The strongest attack, and of how many it is where not all of its level were measured."""
    return f"{worst.attack}, worst of {worst.among}" if worst.missing else worst.attack


def _needed(change: Change, paired: bool) -> str:
    needed = change.verdict.runs_needed
    if needed is None:
        return f"more records would be needed, not more {'models' if paired else 'runs'}"
    return f"about {repetitions(needed, paired)} would be needed"


def _utility(change: Change | None, line: TableRow, base: TableRow) -> str:
    if change is None:
        return f"test accuracy is {printed(line.test.mean or 0.0)}%, without defense {printed(base.test.mean or 0.0)}%"
    words = {"lower": "costs", "higher": "gains"}
    if change.verdict.word in words:
        points = f"{100 * abs(change.value):.2f} points of test accuracy"
        return f"it {words[change.verdict.word]} {points}{_interval(change)}"
    return f"its change of test accuracy, {signed(change.value)} points{_interval(change)}, is not distinguishable"


def _interval(change: Change) -> str:
    return f" (95% interval {signed(change.low)} to {signed(change.high)})"
