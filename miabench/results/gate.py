"""`miabench gate`: whether every attack stays below a limit, with confidence; for the release of a model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from miabench.errors import UserError, nearest
from miabench.evaluation.measure import ATTACK_METRICS, find_metric
from miabench.results.index import Cell, Shown
from miabench.results.results import Results


@dataclass(frozen=True)
class Limit:
    """A metric must stay at or below a value, a fraction."""

    metric: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read `auc=0.60`.

        Raises:
            UserError: no known metric, or no fraction.
        """
        name, _, value = text.partition("=")
        metric = find_metric(name)
        if metric is None:
            raise UserError(f"--max {text!r}: there is no metric {name!r}{nearest(name, ATTACK_METRICS)}")
        try:
            limit = float(value)
        except ValueError:
            limit = -1.0
        if not 0 <= limit <= 1:
            raise UserError(f"--max {text!r}: the limit must be a fraction from 0 to 1, as in auc=0.60")
        return cls(metric, limit)


@dataclass(frozen=True)
class Finding:
    """One measured value and its limit; it passes where the upper end of its 95% interval is within the limit."""

    what: str
    value: float | None
    high: float | None
    limit: Limit
    reason: str | None

    @property
    def passes(self) -> bool:
        """A value that is missing does not pass: what was not measured is not shown to be safe."""
        return self.high is not None and self.high <= self.limit.value

    def __str__(self) -> str:
        verdict = "pass" if self.passes else "FAIL"
        measured = self.reason if self.high is None else f"{self.value:.4f}, up to {self.high:.4f}"
        return f"{verdict}  {self.what}: {self.limit.metric} {measured} (limit {self.limit.value:g})"


def gate(results: Results, limits: list[Limit], attacks: Collection[str] = ("all",)) -> Iterator[Finding]:
    """Compare every run of every cell with the limits.

    Args:
        results: the stored results.
        limits: all must hold.
        attacks: labels of those that count, or `all`, of which attacks that are "n/a" by their nature are left out.

    Raises:
        UserError: no such attack in the experiment; nothing that could be measured at all.
    """
    entries = [entry for entry in results.index.entries if entry.attack]
    known = sorted({str(entry.attack) for entry in entries})
    unknown = [attack for attack in attacks if attack not in (*known, "all")]
    if unknown:
        raise UserError(
            *(f"--attack {one!r}: the experiment has no such attack{nearest(one, [*known, 'all'])}" for one in unknown)
        )
    possible = {entry.attack for entry in entries if entry.metrics}
    counting = {entry.attack for entry in entries} & (possible if "all" in attacks else set(attacks))
    if not counting:  # nothing to fail must not look like a release that was tested
        raise UserError(f"every attack of experiment {results.index.experiment.name!r} is n/a: nothing was measured")
    names = [limit.metric for limit in limits]
    rows = {cell.key: _rows(results, cell, names) for cell in results.index.cells}
    results.derived.save()
    for limit in limits:
        for cell in results.index.cells:
            settings = f" {json.dumps(cell.params)}" if cell.params else ""
            for row in (row for row in rows[cell.key] if row.attack in counting and row.metric == limit.metric):
                what = f"{cell.dataset} {cell.model} {cell.defense}{settings} run {row.run} {row.attack}"
                yield Finding(f"{what} ({row.attacker})", row.value, row.high, limit, row.reason)


class Measured(NamedTuple):
    """One metric of one attack on one target."""

    run: int
    attacker: Shown
    attack: Shown
    metric: str
    value: float | None
    high: float | None
    reason: Shown | None


MEASURED = TypeAdapter(list[Measured])


def _rows(results: Results, cell: Cell, metrics: Sequence[str]) -> list[Measured]:
    """What is measured of a cell, or why it is not."""

    def compute() -> list[Measured]:
        return [
            Measured(entry.run, str(entry.attacker), entry.attack, one["metric"], *_ends(one), one["reason"])
            for entry in results.entries(cell)
            if entry.attack
            for one in results.measured(entry)
            if one["metric"] in metrics
        ]

    return results.derived.get(["gate", metrics, results.about(cell)], MEASURED, compute)


def _ends(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return row.get("value"), row.get("high")
