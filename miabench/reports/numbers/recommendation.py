"""Which defense to use under a budget of accuracy, and how sure that is.

Worst case: the largest mean AUC of any attack. All defenses of one dataset, model and attacker are compared on the
records that are members, or non-members, under all of them, and on the runs that all have. How sure is measured by the
crossed bootstrap: every replicate draws runs and records once for all defenses, and takes the maximum over attacks and
the choice among defenses anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.metrics import Estimate, auc
from miabench.metrics.bootstrap import percentile_interval, record_draws, replicate_aucs, run_shares
from miabench.metrics.dominance import dominates
from miabench.reports.numbers.best import largest_loss
from miabench.reports.numbers.lines import SiteKey, Summary, TableRow
from miabench.results.results import Records, Results

Floats = NDArray[np.float64]
REPLICATES = 1000


@dataclass(frozen=True)
class Candidate:
    """One defense on the common records.

    Attributes:
        line: of the summary.
        worst: the largest mean AUC of any attack, with its 95% interval.
        attack: which attack that is.
        cost: test accuracy below the baseline's, as a fraction (negative: more accurate than it).
        dominated_by: labels of defenses that are at least as accurate and leak no more, and better in one of the two.
    """

    line: TableRow
    worst: Estimate
    attack: str
    cost: float
    dominated_by: tuple[str, ...]


@dataclass(frozen=True)
class Recommendation:
    """What to use for one dataset, model and attacker.

    Attributes:
        budget: accuracy that may be lost, as a fraction.
        chosen: the candidate within the budget with the lowest worst case; None without a finished baseline.
        confidence: share of bootstrap replicates in which the same one is chosen.
        candidates: all that could be compared, the baseline included, lowest worst case first; none without a
            finished baseline.
    """

    site_key: SiteKey
    budget: float
    chosen: Candidate | None
    confidence: float
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        return "\n".join(in_words(self))


@dataclass(frozen=True)
class _Measured:
    """Replicates of one line: worst case and accuracy (B,), and their values."""

    line: TableRow
    attack: str
    worst: float
    worst_drawn: Floats
    accuracy: float
    accuracy_drawn: Floats


class _Common(NamedTuple):
    """Runs and rows, ascending, that all defenses share, and which rows are members."""

    runs: NDArray[np.int64]
    rows: NDArray[np.int64]
    members: NDArray[np.bool_]


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


def recommend(results: Results, summary: Summary, budget: float) -> Iterator[Recommendation]:
    """A recommendation for every dataset, model and attacker.

    Args:
        results: the stored results.
        summary: of the same results.
        budget: points of test accuracy that may be lost against the baseline.
    """
    for site_key in dict.fromkeys(line.site_key for line in summary.lines):
        lines = [line for line in summary.lines if line.site_key == site_key and line.test.mean is not None]
        measured = _measure(results, [line for line in lines if not line.collapsed])
        yield _recommend(site_key, measured, budget / 100)


def _recommend(site_key: SiteKey, measured: Sequence[_Measured], budget: float) -> Recommendation:
    base = next((one for one in measured if one.line.is_baseline), None)
    if base is None:
        return Recommendation(site_key, budget, None, 0.0, ())
    candidates = sorted((_candidate(one, base, measured) for one in measured), key=lambda one: one.worst.value)
    chosen = next((one for one in candidates if one.cost <= largest_loss(budget)), None)
    worst = np.stack([one.worst_drawn for one in measured])  # (defenses, B)
    cost = np.stack([base.accuracy_drawn - one.accuracy_drawn for one in measured])
    drawn = np.where(cost <= largest_loss(budget), worst, np.inf).argmin(0)  # the baseline itself costs 0
    labels = [one.line.cell.label for one in measured]
    agreed = np.mean([labels[i] == chosen.line.cell.label for i in drawn]) if chosen else 0.0
    return Recommendation(site_key, budget, chosen, float(agreed), tuple(candidates))


def _candidate(one: _Measured, base: _Measured, others: Sequence[_Measured]) -> Candidate:
    dominating = [
        other.line.cell.label for other in others if dominates((other.accuracy, other.worst), (one.accuracy, one.worst))
    ]
    worst = percentile_interval(one.worst, one.worst_drawn)
    return Candidate(one.line, worst, one.attack, base.accuracy - one.accuracy, tuple(dominating))


def _measure(results: Results, lines: Sequence[TableRow]) -> list[_Measured]:
    """Every line whose scores are stored, on the common records and runs."""
    found = [(line, _records(results, line)) for line in lines]
    complete = [(line, parts) for line, parts in found if len(parts) > 1]
    if not complete:
        return []
    every = [part for _, parts in complete for part in parts.values()]
    runs = np.array(sorted(set.intersection(*(set(part.runs) for part in every))), dtype=np.int64)
    rows, members = _common(every)
    if not len(runs) or not members.any() or members.all():
        return []
    return [_one(line, parts, _Common(runs, rows, members)) for line, parts in complete]


def _records(results: Results, line: TableRow) -> dict[str | None, Records]:
    """Scores of each attack of a line, and under None whether its records are classified correctly."""
    parts: dict[str | None, Records | None] = {None: results.records(line.cell)}
    for attack in line.attacks:
        parts[attack] = results.records(line.cell, line.attacker, attack)
    return {name: part for name, part in parts.items() if part is not None}


def _common(every: Sequence[Records]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows, ascending, that are members of all or non-members of all; and which are members."""
    members = reduce(np.intersect1d, [part.rows[part.members] for part in every])
    others = reduce(np.intersect1d, [part.rows[~part.members] for part in every])
    rows = np.union1d(members, others)
    return rows, np.isin(rows, members)


def _one(line: TableRow, parts: dict[str | None, Records], common: _Common) -> _Measured:
    runs, rows, members = common
    cut = {name: _cut(part, runs, rows) for name, part in parts.items()}
    attacks = [name for name in cut if name is not None]
    scores = np.stack([cut[name] for name in attacks])  # (K, R, N)
    drawn = replicate_aucs(scores, members, REPLICATES)  # (B, K)
    means = _mean_aucs(scores, members)
    correct = cut[None]
    accuracy_drawn = _accuracies(correct, members)
    return _Measured(
        line,
        attacks[int(means.argmax())],
        float(means.max()),
        drawn.max(1),
        float(correct[:, ~members].mean()),
        accuracy_drawn,
    )


def _cut(part: Records, runs: NDArray[np.int64], rows: NDArray[np.int64]) -> Floats:
    """Values (R, N) on some runs and rows, both ascending."""
    order = np.argsort(part.rows)
    columns = order[np.searchsorted(part.rows[order], rows)]
    return part.values[np.ix_(np.searchsorted(np.asarray(part.runs), runs), columns)]


def _mean_aucs(scores: Floats, members: NDArray[np.bool_]) -> Floats:
    values = np.array([[auc(run, members).value for run in attack] for attack in scores])
    means: Floats = values.mean(1)
    return means


def _accuracies(correct: Floats, members: NDArray[np.bool_]) -> Floats:
    """Mean test accuracy over drawn runs (B,), on the same draws of records and runs as `replicate_aucs`."""
    per_run = [
        correct[:, ~members] @ drawn[~members] / (~members).sum() for drawn in record_draws(members, REPLICATES, 0)
    ]
    shares = run_shares(len(correct), REPLICATES, 0)  # (B, R)
    accuracies: Floats = np.einsum("rb,br->b", np.concatenate(per_run, axis=1), shares)
    return accuracies


def in_words(advice: Recommendation) -> Iterator[str]:
    """The recommendation as lines of text."""
    dataset, model, attacker = advice.site_key
    points = 100 * advice.budget
    where = f"{dataset}, {model}, {attacker} attacker"
    if advice.chosen is None:
        yield f"{where}: no finished training without defense to compare with, so no defense is recommended"
        return
    yield (
        f"{where}: of what costs at most {points:g} points of accuracy, {_described(advice.chosen)} has the lowest "
        f"worst case; so say {100 * advice.confidence:.0f}% of the bootstrap's draws of trainings and records"
    )
    for one in advice.candidates:
        if one is not advice.chosen:
            beaten = f"; dominated by {', '.join(one.dominated_by)}" if one.dominated_by else ""
            yield f"  {_described(one)}{beaten}"


def _described(one: Candidate) -> str:
    low, high = 100 * one.worst.low, 100 * one.worst.high
    return (
        f"{one.line.cell.label} (AUC {100 * one.worst.value:.2f} [{low:.2f}, {high:.2f}] by {one.attack}, "
        f"{-100 * one.cost:+.2f} points)"
    )
