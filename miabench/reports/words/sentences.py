"""What each defense gains and costs, in plain sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from miabench.metrics.names import GUESSING, TITLES
from miabench.reports.numbers.difference import Difference, Differences
from miabench.reports.numbers.summary import BASELINE, Line, Summary, printed


class Strongest(NamedTuple):
    """The attack with the largest mean, a fraction."""

    attack: str
    mean: float


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
    """For each dataset, model and attacker: the undefended cell, then every defense by its strongest attack.

    Only attacks that were measured on both sides count. Of a defense with several settings one speaks: that with the
    weakest strongest attack among those that keep the accuracy within `summary.within` points (or of all, if none).
    """
    places: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in summary.lines:
        places[line.place].append(line)
    for (dataset, model, attacker), lines in places.items():
        where = f"{dataset}, {model}" + (f", {attacker} attacker" if len(summary.attackers) > 1 else "")
        base = next((line for line in lines if line.undefended), None)
        top = strongest(base, list(base.attacks)) if base else None
        if base is None or top is None or base.test.mean is None:
            yield f"{where}: there is no finished cell without defense ({BASELINE}) to compare with."
            continue
        yield (
            f"{where}: without defense the strongest attack, {top.attack}, reaches {printed(top.mean)}% "
            f"{_metric(summary)} at {printed(base.test.mean)}% test accuracy."
        )
        yield from _of_defenses(summary, compared, base, lines)


def strongest(line: Line, attacks: Sequence[str]) -> Strongest | None:
    """The attack with the largest mean among some; None if none is finished."""
    means = [(value.mean, name) for name in attacks if (value := line.attacks[name]).mean is not None]
    if not means:
        return None
    mean, name = max((mean or 0.0, name) for mean, name in means)
    return Strongest(name, mean)


def _of_defenses(summary: Summary, compared: Differences, base: Line, lines: Sequence[Line]) -> Iterator[str]:
    settings: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if not line.undefended:
            settings[line.cell.defense].append(line)
    for own in settings.values():
        yield _of_defense(summary, compared, base, own)


def _of_defense(summary: Summary, compared: Differences, base: Line, lines: Sequence[Line]) -> str:
    usable = [line for line in lines if not line.collapsed and line.test.mean is not None and _both(line, base)]
    if not usable:
        return f"{lines[0].cell.defense} {_why_not(lines)}."
    floor = (base.test.mean or 0.0) - summary.within / 100
    keeping = [line for line in usable if (line.test.mean or 0.0) >= floor]
    line = min(keeping or usable, key=lambda one: _largest(one, base))
    lacking = "" if keeping else f", none within {summary.within:g} points of accuracy"
    chosen = f" (chosen on these results, of {len(lines)} settings{lacking})" if len(lines) > 1 else ""
    return f"{line.cell.label}{chosen} {_privacy(summary, compared, line, base)} and {_utility(compared, line, base)}."


def _why_not(lines: Sequence[Line]) -> str:
    """Why there is nothing to say of a defense."""
    if all(line.collapsed for line in lines):
        return "collapsed to chance accuracy, so its attacks say nothing"
    if all(line.cell.reason for line in lines):
        return f"cannot be used here: {lines[0].cell.reason}"
    return "has no finished result yet"


def _both(line: Line, base: Line) -> list[str]:
    """Attacks that are finished on both sides."""
    pairs = ((name, value.mean, base.attacks[name].mean) for name, value in line.attacks.items())
    return [name for name, mean, other in pairs if mean is not None and other is not None]


def _largest(line: Line, base: Line) -> float:
    top = strongest(line, _both(line, base))
    return top.mean if top else 1.0


def _privacy(summary: Summary, compared: Differences, line: Line, base: Line) -> str:
    attacks = _both(line, base)
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


def _utility(compared: Differences, line: Line, base: Line) -> str:
    change = 100 * ((line.test.mean or 0.0) - (base.test.mean or 0.0))
    points = f"{abs(change):.2f} points of test accuracy"
    text = f"costs {points}" if change < 0 else f"gains {points}"
    return text + _interval(compared[line.key].accuracy if line.key in compared else None)


def _interval(paired: Difference | None) -> str:
    return (
        "" if paired is None else f" (95% interval of the change {100 * paired.low:+.2f} to {100 * paired.high:+.2f})"
    )


def _metric(summary: Summary) -> str:
    return TITLES[summary.metric]
