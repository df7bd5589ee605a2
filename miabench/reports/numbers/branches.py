"""How often a relaxed loss took each of its branches; one that never softened did nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from miabench.results.index import Cell, CellKey
from miabench.results.results import Results

BRANCHES = ("fit", "hold", "soften")  # of a relaxed loss: see the shares that defenses record

Shares: TypeAlias = Mapping[str, Mapping[str, float]]
"""By loss (`rce`, `rcl`) and branch, the share of all steps, mean over the finished runs."""
SHARES = TypeAdapter(dict[str, dict[str, float]])
BranchShares: TypeAlias = Mapping[CellKey, Shares]


def branch_shares(results: Results) -> BranchShares:
    """Shares of every cell whose trainings recorded any."""
    found = {
        cell.key: results.derived.get(["branches", results.about(cell)], SHARES, partial(_shares, results, cell))
        for cell in results.index.cells
    }
    return {key: shares for key, shares in found.items() if shares}


def branch_rows(cells: Sequence[Cell], found: BranchShares) -> Iterator[dict[str, Any]]:
    """For programs: a row for each cell and relaxed loss."""
    for cell in cells:
        for loss, shares in found.get(cell.key, {}).items():
            names = {"dataset": cell.dataset, "model": cell.model, "defense": cell.defense, "params": dict(cell.params)}
            yield {**names, "loss": loss, **shares, "relaxed": relaxed(shares)}


def relaxed(shares: Mapping[str, float]) -> bool:
    """Whether a loss ever came down to its level in an odd epoch, and was softened."""
    return shares["soften"] > 0


def _shares(results: Results, cell: Cell) -> dict[str, dict[str, float]]:
    histories = [results.history(cell, entry.run) for entry in results.accuracy_entries(cell)]
    recorded = [history for history in histories if history is not None and len(history)]
    columns = recorded[0].columns if recorded else ()
    named = [name.removesuffix("_fit") for name in columns if name.endswith("_fit")]
    return {
        loss: {name: float(np.mean([run[f"{loss}_{name}"].mean() for run in recorded])) for name in BRANCHES}
        for loss in named
    }
