"""The tidy table as CSV and JSON text, for programs: one row per run, values as fractions, nothing rounded.

Rows of one class's records alone, which have a `class`, follow those of all records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from miabench.reports.numbers.branches import BranchShares, branch_rows
from miabench.reports.numbers.consistency import Consistency
from miabench.reports.numbers.evidence import Judgement
from miabench.reports.numbers.loss_ranks import LossRanks, loss_rank_rows
from miabench.results.index import CellKey
from miabench.results.results import COUNTS, ESTIMATE, FRACTIONS, Results

if TYPE_CHECKING:
    import pandas as pd

KINDS = dict.fromkeys(FRACTIONS, "float64") | dict.fromkeys((*COUNTS, "class"), "Int64")


def to_csv(results: Results) -> str:
    """A line per row below a header; a missing value is empty, `params` is JSON."""
    return _typed(results).to_csv(index=False, lineterminator="\n")


def to_json(
    results: Results,
    judged: Judgement,
    branches: BranchShares,
    alike: Sequence[Consistency],
    loss_ranks: Sequence[LossRanks],
) -> str:
    """One object: the resolved `experiment`, `rows`, `worst_cases`, `branches`, `consistency` and `loss_ranks`.

    Each entry is on its line. Worst cases and loss ranks alone are over runs: the strongest attack of each level of
    access, and how alike two defenses rank the records.

    What is missing is null.

    Args:
        results: what is stored.
        judged: of all its lines.
        branches: of relaxed losses.
        alike: overlaps of members and non-members; one object for each run.
        loss_ranks: correlations of every two defenses, and of each with itself.
    """
    table = _typed(results).astype(object)
    table = table.where(table.notna(), None)
    columns = list(table.columns)
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*(table[name] for name in columns), strict=True))
    lines = ",\n".join(json.dumps(row | {"params": json.loads(row["params"])}, allow_nan=False) for row in rows)
    experiment = json.dumps(results.index.experiment.model_dump(mode="json"), allow_nan=False)
    relaxed = ",\n".join(json.dumps(row, allow_nan=False) for row in branch_rows(results.index.cells, branches))
    overlaps = ",\n".join(json.dumps(one) for cell in alike for one in _overlaps(cell))
    worst = ",\n".join(json.dumps(row, allow_nan=False) for row in _worst_cases(results, judged))
    ranks = ",\n".join(json.dumps(row, allow_nan=False) for row in loss_rank_rows(loss_ranks))
    parts = {"rows": lines, "worst_cases": worst, "branches": relaxed, "consistency": overlaps, "loss_ranks": ranks}
    arrays = ",\n".join(f'"{name}": [\n{part}\n]' for name, part in parts.items())
    return f'{{"experiment": {experiment},\n{arrays}}}\n'


def loss_ranks_csv(found: Sequence[LossRanks]) -> str:
    """A line for every two defenses, and for each with itself; a missing value is empty, `params` are JSON."""
    import pandas as pd

    rows = [
        {name: json.dumps(value) if name.endswith("params") else value for name, value in row.items()}
        for row in loss_rank_rows(found)
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def _worst_cases(results: Results, judged: Judgement) -> Iterator[dict[str, Any]]:
    """Of every cell, attacker, level and metric; `missing` says why attacks of the level are not among `attacks`."""
    cells = {cell.key: cell for cell in results.index.cells}
    for key, evidence in judged.lines.items():
        cell = cells[CellKey(key.dataset, key.model, key.label)]
        about = {name: getattr(cell, name) for name in ("dataset", "model", "defense", "params")}
        for column, worst in evidence.worst.items():
            case = {name: getattr(worst.case, name) for name in (*ESTIMATE, "attacks")}
            yield {
                **about, "attacker": key.attacker, **column._asdict(), "attack": worst.attack, **case,
                "missing": worst.missing,
            }  # fmt: skip


def _overlaps(one: Consistency) -> Iterator[dict[str, Any]]:
    cell = {name: getattr(one.cell, name) for name in ("dataset", "model", "defense", "params")}
    for run, overlap in enumerate(one.overlaps):
        yield {**cell, "run": run, "of": one.quantity.name, "overlap": float(overlap), "if_alike": one.if_alike}


def _typed(results: Results) -> pd.DataFrame:
    """The table with counts that stay whole numbers where some are missing."""
    import pandas as pd

    whole, of_classes = results.table.copy(), results.class_table
    whole["class"] = pd.NA
    return pd.concat((whole.astype(KINDS), of_classes.astype(KINDS)))
