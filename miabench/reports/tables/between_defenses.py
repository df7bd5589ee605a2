"""Every defense against every other: which leaks less, and whether they find the same records hard."""

from __future__ import annotations

from collections.abc import Sequence

from miabench.metrics.names import TITLES
from miabench.reports.numbers.duels import Matrices
from miabench.reports.numbers.loss_ranks import Correlation, LossRanks
from miabench.reports.numbers.names import approach
from miabench.reports.tables.table import Row, Table, Value


def duel_tables(duels: Matrices, metric: str) -> list[Table]:
    """Which defense leaks less than which in the worst case."""
    words = {1: "less", 0: "≈", -1: "more"}
    tables = []
    for site_key, found in duels.items():
        names = [approach(line) for line in found.lines]
        rows = tuple(
            Row((name,), tuple(Value("" if i == j else words[int(one)]) for j, one in enumerate(outcomes)), line)
            for i, (name, outcomes, line) in enumerate(zip(names, found.outcomes, found.lines, strict=True))
        )
        title = (
            f"{', '.join(site_key)}: worst case of the row against that of the column, {TITLES[metric]} "
            "(less: it leaks less; ≈: not distinguishable)"
        )
        tables.append(Table(title, ("approach",), tuple(line.cell.label for line in found.lines), (rows,)))
    return tables


def loss_rank_tables(found: Sequence[LossRanks]) -> list[Table]:
    """The loss-rank correlation of every two defenses, on members and on non-members."""
    tables = []
    for one in found:
        places = range(len(one.lines))
        rows = tuple(
            Row((approach(line),), tuple(_correlation(one.between(i, j)) for j in places), line)
            for i, line in enumerate(one.lines)
        )
        title = (
            f"{', '.join(one.site)}: loss-rank correlation on {one.records} [95% interval] (1: the same records are "
            "hard; of an approach with itself: two of its trainings)"
        )
        tables.append(Table(title, ("approach",), tuple(line.cell.label for line in one.lines), (rows,)))
    return tables


def _correlation(found: Correlation | None) -> Value:
    if found is None:
        return Value("n/a")
    between = "" if found.low is None else f"[{found.low:.2f}, {found.high:.2f}]"
    return Value(f"{found.value:.2f}", between, number=found.value)
