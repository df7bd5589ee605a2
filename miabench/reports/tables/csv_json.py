"""The tidy table as CSV and JSON text, for programs: one row per run, values as fractions, nothing rounded.

Rows of one class's records alone, which have a `class`, follow those of all records.
"""

from __future__ import annotations

import json

import pandas as pd

from miabench.reports.numbers.branches import branch_rows
from miabench.results.results import COUNTS, FRACTIONS, Results

KINDS = dict.fromkeys(FRACTIONS, "float64") | dict.fromkeys((*COUNTS, "class"), "Int64")


def to_csv(results: Results) -> str:
    """A line per row below a header; a missing value is empty, `params` is JSON."""
    return _typed(results).to_csv(index=False, lineterminator="\n")


def to_json(results: Results) -> str:
    """One object of the resolved `experiment`, `rows`, each on its line, and `branches` of relaxed losses.

    What is missing is null.
    """
    table = _typed(results).astype(object)
    table = table.where(table.notna(), None)
    columns = list(table.columns)
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*(table[name] for name in columns), strict=True))
    lines = ",\n".join(json.dumps(row | {"params": json.loads(row["params"])}, allow_nan=False) for row in rows)
    experiment = json.dumps(results.index.experiment.model_dump(mode="json"), allow_nan=False)
    branches = ",\n".join(json.dumps(row, allow_nan=False) for row in branch_rows(results))
    return f'{{"experiment": {experiment},\n"rows": [\n{lines}\n],\n"branches": [\n{branches}\n]}}\n'


def _typed(results: Results) -> pd.DataFrame:
    """The table with counts that stay whole numbers where some are missing."""
    whole, of_classes = results.table.copy(), results.class_table
    whole["class"] = pd.NA
    return pd.concat((whole.astype(KINDS), of_classes.astype(KINDS)))
