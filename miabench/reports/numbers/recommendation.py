"""Which defense to use under a budget of accuracy, and what it can be told apart from.

Worst case: the strongest of all attacks, by the summary's metric, as the first table has it. The defense with the
lowest one within the budget is compared with every other one within it, paired on the runs and records that both have;
Holm's correction is over these comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from miabench.errors import UserError
from miabench.metrics import Verdict, verdicts
from miabench.metrics.dominance import dominates
from miabench.metrics.names import TITLES
from miabench.reports.numbers.best import baselines, largest_loss
from miabench.reports.numbers.evidence import Judgement, worst_between
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import RowKey, SiteKey, Summary, TableRow, printed, signed
from miabench.reports.numbers.stored import Stored, Worst
from miabench.results.results import Results


@dataclass(frozen=True)
class Candidate:
    """One line that can be chosen.

    Attributes:
        line: of the summary.
        worst: the strongest of all attacks, with its 95% interval.
        cost: test accuracy below the baseline's, as a fraction (negative: more accurate than it).
        dominated_by: labels of lines that are at least as accurate and leak no more, and better in one of the two.
        against: how the chosen one's worst case differs from this one's; None for the chosen one, for what is beyond
            the budget, and for what shares no run or record with it.
    """

    line: TableRow
    worst: Worst
    cost: float
    dominated_by: tuple[str, ...]
    against: Verdict | None = None


@dataclass(frozen=True)
class Recommendation:
    """What to use for one dataset, model and attacker.

    Attributes:
        budget: accuracy that may be lost, as a fraction.
        metric: of the worst cases.
        chosen: the candidate within the budget with the lowest worst case; None without a finished baseline that
            learnt something.
        candidates: all that have a finished attack, the baseline included, lowest worst case first; none where none
            is chosen.
        collapsed: the baseline is finished and learnt nothing.
    """

    site_key: SiteKey
    budget: float
    metric: str
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]
    collapsed: bool = False

    def __str__(self) -> str:
        return "\n".join([in_words(self), *alternatives(self)])


def points(budget: str) -> float:
    """Read `accuracy=1.0`: points of test accuracy.

    Raises:
        UserError: another quantity, or no number of 0 or more.
    """
    quantity, _, value = budget.partition("=")
    try:
        spend = float(value)
    except ValueError:
        spend = -1.0
    if quantity != "accuracy" or not 0 <= spend <= 100:
        raise UserError(f"--budget {budget!r}: write the points of test accuracy that may be lost, as in accuracy=1.0")
    return spend


def recommend(results: Results, summary: Summary, judged: Judgement, budget: float) -> Iterator[Recommendation]:
    """A recommendation for every dataset, model and attacker.

    Args:
        results: the stored results.
        summary: of the same results.
        judged: of the same lines.
        budget: points of test accuracy that may be lost against the baseline.
    """
    widest = Column(([*levels(summary.index)] or [""])[-1], summary.metric)
    bases = baselines(summary.lines)
    for site_key in dict.fromkeys(line.site_key for line in summary.lines):
        base = bases.get(site_key)
        own = [line for line in summary.lines if line.site_key == site_key and not line.collapsed]
        known = {line.key: judged.lines[line.key].worst.get(widest) for line in own}
        worst = {key: case for key, case in known.items() if case is not None}
        if base is None or base.key not in worst or base.test.mean is None:
            collapsed = base is not None and bool(base.collapsed)
            yield Recommendation(site_key, budget / 100, summary.metric, None, (), collapsed)
            continue
        candidates = _candidates([line for line in own if line.key in worst], base.test.mean, worst)
        within = [one for one in candidates if one.cost <= largest_loss(budget / 100)]  # the baseline itself costs 0
        against = _against(results, summary, [one.line for one in within], widest)
        candidates = [_with_verdict(one, against) for one in candidates]
        chosen = next(one for one in candidates if one.line is within[0].line)
        yield Recommendation(site_key, budget / 100, summary.metric, chosen, tuple(candidates))


def _candidates(lines: Sequence[TableRow], base: float, worst: Mapping[RowKey, Worst]) -> list[Candidate]:
    """Lowest worst case first."""
    at = [(line.test.mean or 0.0, worst[line.key].case.value) for line in lines]
    named = [(line.cell.label, own) for line, own in zip(lines, at, strict=True)]
    found = [
        Candidate(
            line,
            worst[line.key],
            base - own[0],
            tuple(label for label, other in named if dominates(other, own)),
        )
        for line, own in zip(lines, at, strict=True)
    ]
    return sorted(found, key=lambda one: one.worst.case.value)


def _against(results: Results, summary: Summary, lines: Sequence[TableRow], column: Column) -> Mapping[RowKey, Verdict]:
    """How the first line's worst case differs from every other one's."""
    first, others = Stored(results, summary, lines[0]), lines[1:]
    changes = {other.key: worst_between(first, Stored(results, summary, other), column) for other in others}
    found = {key: change.found for key, change in changes.items() if change is not None}
    return dict(zip(found, verdicts([*found.values()]), strict=True)) if found else {}


def _with_verdict(one: Candidate, against: Mapping[RowKey, Verdict]) -> Candidate:
    return Candidate(one.line, one.worst, one.cost, one.dominated_by, against.get(one.line.key))


# --- in words ---


def in_words(advice: Recommendation) -> str:
    """The recommendation in a sentence or two."""
    dataset, model, attacker = advice.site_key
    points = 100 * advice.budget
    where = f"{dataset}, {model}, {attacker} attacker"
    chosen = advice.chosen
    if advice.collapsed:
        return f"{where}: without defense nothing was learnt, so no defense is recommended"
    if chosen is None:
        return f"{where}: no finished training without defense to compare with, so no defense is recommended"
    if len(advice.candidates) == 1:
        return f"{where}: {described(chosen, advice.metric)}; there is no defense to compare it with"
    return (
        f"{where}: of what costs at most {points:g} points of accuracy, {described(chosen, advice.metric)} has the "
        f"lowest worst case{_how_sure(advice)}"
    )


def _how_sure(advice: Recommendation) -> str:
    told = [one for one in advice.candidates if one.against is not None]
    lower = [one.line.cell.label for one in told if one.against and one.against.word == "lower"]
    alike = [one for one in told if one.against and one.against.word != "lower"]
    parts = [f"lower than that of {', '.join(lower)}"] if lower else []
    if alike:
        names = ", ".join(one.line.cell.label for one in alike)
        needed = [one.against.runs_needed for one in alike if one.against]
        runs = [n for n in needed if n is not None]
        more = f"about {max(runs)} runs would tell" if len(runs) == len(needed) else "more records, not more runs"
        parts.append(f"not distinguishable from {names} ({more})")
    return f": {'; '.join(parts)}" if parts else ""


def alternatives(advice: Recommendation) -> Iterator[str]:
    """A line for every other candidate."""
    for one in advice.candidates:
        if one is not advice.chosen:
            beaten = f"; dominated by {', '.join(one.dominated_by)}" if one.dominated_by else ""
            yield f"  {described(one, advice.metric)}{beaten}"


def described(one: Candidate, metric: str) -> str:
    """A candidate with its worst case and its cost."""
    case = one.worst.case
    return (
        f"{one.line.cell.label} ({TITLES[metric]} {printed(case.value)} [{printed(case.low)}, {printed(case.high)}] by "
        f"{one.worst.attack}, worst of {one.worst.among}; {signed(-one.cost)} points of accuracy)"
    )
