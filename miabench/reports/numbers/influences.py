"""From stored scores to what every record makes of a number in every run, on the records that several lines share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.evaluation.decisions import called_members
from miabench.evaluation.scores import TargetValues
from miabench.metrics import (
    Influences,
    accuracy_influences,
    auc_influences,
    balanced_accuracy_influences,
    over_union,
    tpr_influences,
)
from miabench.metrics.names import FNRS, FPRS
from miabench.reports.numbers.lines import TableRow
from miabench.results.results import Results

Runs: TypeAlias = Mapping[int, TargetValues]  # one number per record of a target, by run
Booleans = NDArray[np.bool_]

RANKED = ("auc", *FPRS, *FNRS)  # metrics of scores; the others are of decisions
OF_MEMBERS = ("calibrated_tpr@1%", "calibrated_tpr@0.1%")
OF_NON_MEMBERS = ("calibrated_fpr@1%", "calibrated_fpr@0.1%", "far")
BALANCED = ("balanced_accuracy", "balanced_accuracy_global", "advantage")  # the advantage is 2 balanced accuracy - 1
TOGETHER = 2**20  # values whose influences are computed at once, which takes some ten times their memory


@dataclass(frozen=True)
class Scope:
    """Records that several lines share: of each run the rows that are members, or non-members, under all of them.

    Attributes:
        rows: of each run, ascending (n_r,).
        members: of each run (n_r,).
        whole: whether the rows are the same in all runs and every line and attack is about all of them: numbers are
            on these records then, otherwise on the union of all.
    """

    rows: Mapping[int, NDArray[np.int64]]
    members: Mapping[int, Booleans]
    whole: bool

    @cached_property
    def union(self) -> NDArray[np.int64]:
        """The rows of all runs, ascending (N,)."""
        return reduce(np.union1d, self.rows.values())

    @cached_property
    def key(self) -> bytes:
        """The same for all scopes that hold the same, and for no others."""
        about = sha256(repr((self.whole, [(run, len(rows)) for run, rows in self.rows.items()])).encode())
        for array in (*self.rows.values(), *self.members.values()):
            about.update(array.tobytes())
        return about.digest()

    @cached_property
    def fewest(self) -> tuple[int, int]:
        """Members in the run that has fewest, and non-members likewise."""
        inside, outside = (min(int((own == kind).sum()) for own in self.members.values()) for kind in (True, False))
        return inside, outside


def correctness(results: Results, line: TableRow) -> Runs:
    """Whether each record of each finished target is classified correctly."""
    return _ascending(results.targets(line.cell))


def attacked(results: Results, line: TableRow, attack: str, metric: str) -> Runs:
    """An attack's scores of each finished target or, for a metric of decisions, 1 where a record is called a member.

    Runs whose shadows are too few to learn a decision are left out.
    """
    if metric in RANKED:
        return _ascending(results.targets(line.cell, line.attacker, attack))
    decided = {}
    for run, scores in results.scores(line.cell, line.attacker, attack).items():
        called = called_members(metric, scores)
        if called is not None:
            target = scores.target
            decided[run] = TargetValues(called.astype(np.float64), target.members, target.labels, target.rows)
    return _ascending(decided)


def _ascending(runs: Runs) -> Runs:
    """The same, the rows of each run ascending as a scope's are: they are not sorted again for every number."""
    return {run: _by_row(values) for run, values in runs.items()}


def _by_row(one: TargetValues) -> TargetValues:
    at = np.argsort(one.rows)
    return TargetValues(one.values[at], one.members[at], one.labels[at], _as_one(one.rows[at]))


def _as_one(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The array that stands for all equal ones: most attacks, runs and lines are about the same records."""
    return _held(rows.astype(np.int64).tobytes())


@lru_cache(maxsize=64)
def _held(rows: bytes) -> NDArray[np.int64]:
    return np.frombuffer(rows, np.int64)


def shared(lines: Sequence[Runs]) -> Scope | None:
    """The runs and records that lines share, by their correctness, which covers all records; None where they do not."""
    runs = sorted(set.intersection(*(set(line) for line in lines))) if lines else []
    rows, members = {}, {}
    for run in runs:
        inside, outside = (
            reduce(np.intersect1d, [line[run].rows[line[run].members == kind] for line in lines])
            for kind in (True, False)
        )
        if len(inside) and len(outside):
            rows[run] = _as_one(np.union1d(inside, outside))
            members[run] = np.isin(rows[run], inside)
    alike = _alike([*rows.values()]) and _alike([*members.values()])
    return Scope(rows, members, alike) if rows else None


def of_all(scope: Scope | None, parts: Sequence[Runs]) -> Scope | None:
    """The same of the runs that some parts have, and whole only if they are; None where there is none."""
    runs = [] if scope is None or not parts else [run for run in scope.rows if all(run in part for part in parts)]
    if scope is None or not runs:
        return None
    rows, members = {run: scope.rows[run] for run in runs}, {run: scope.members[run] for run in runs}
    alike = scope.whole or (_alike([*rows.values()]) and _alike([*members.values()]))
    whole = alike and all(len(cut(part[run], rows[run]).rows) == len(rows[run]) for part in parts for run in runs)
    return scope if len(runs) == len(scope.rows) and whole == scope.whole else Scope(rows, members, whole)


def numbers(metric: str, parts: Sequence[Runs], scope: Scope) -> list[Influences | None]:
    """One number of several lines or attacks, on the same runs and records.

    Args:
        metric: of attacks, or `test_accuracy`.
        parts: scores, decisions or correctness, all of them of the scope's lines or seen by `of_all`.
        scope: the runs and records to take.

    Returns:
        None in place of a number that has no influences (a predictive value), or too few records in some run.
    """
    parted = [[_both_kinds(cut(part[run], scope.rows[run])) for run in scope.rows] for part in parts]
    if not scope.whole:
        return [_apart(metric, own, scope.union) for own in parted]
    step = max(1, TOGETHER // sum(len(rows) for rows in scope.rows.values()))
    return [one for at in range(0, len(parted), step) for one in _dense(metric, parted[at : at + step])]


def _alike(arrays: Sequence[NDArray[np.generic]]) -> bool:
    return all(np.array_equal(arrays[0], other) for other in arrays[1:])


def cut(values: TargetValues, rows: NDArray[np.int64]) -> TargetValues:
    """The scope's records among those of one run, ascending."""
    if values.rows is rows or np.array_equal(values.rows, rows):  # as in most reports
        return values
    _, at, _ = np.intersect1d(values.rows, rows, assume_unique=True, return_indices=True)
    return TargetValues(values.values[at], values.members[at], values.labels[at], values.rows[at])


def _both_kinds(one: TargetValues) -> TargetValues:
    """The same; it has members and non-members but in a store that somebody forged."""
    if one.members.all() or not one.members.any():
        raise UserError("an attack's scores are of other records than its accuracies; remove the store and run again")
    return one


def _dense(metric: str, parts: Sequence[Sequence[TargetValues]]) -> list[Influences | None]:
    """Of several parts at once: for few records NumPy's calls take longer than what they compute."""
    values = np.stack([[one.values for one in runs] for runs in parts])
    found = _influences(metric, values, parts[0][0].members)
    return [None if found is None else found.pick(i) for i in range(len(parts))]


def _apart(metric: str, runs: Sequence[TargetValues], union: NDArray[np.int64]) -> Influences | None:
    each = [_influences(metric, one.values[None], one.members) for one in runs]
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    return over_union(known, [_counted(metric, one) for one in runs], union)


def _counted(metric: str, one: TargetValues) -> NDArray[np.int64]:
    """The rows that a metric is about."""
    kind = _kind(metric)
    return one.rows if kind is None else one.rows[one.members == kind]


def _kind(metric: str) -> bool | None:
    """Whether a metric is about members alone, about non-members alone, or about both."""
    if metric in OF_MEMBERS:
        return True
    return False if metric in (*OF_NON_MEMBERS, "test_accuracy") else None


def _influences(metric: str, values: NDArray[np.float64], members: Booleans) -> Influences | None:
    """Of R runs on the same records (..., R, N)."""
    if metric == "auc":
        return auc_influences(values, members)
    if metric in FPRS:
        return tpr_influences(values, members, FPRS[metric])
    if metric in FNRS:
        return tpr_influences(-values, ~members, FNRS[metric])
    if metric in BALANCED:
        return balanced_accuracy_influences(values == 1, members)
    kind = _kind(metric)
    return None if kind is None else accuracy_influences(values[..., members == kind])
