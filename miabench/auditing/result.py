"""What an audit found: a table, the records' scores, and words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.npz import open_npz, write_npz

COLUMNS = ("attack", "metric", "value", "low", "high", "n_members", "n_nonmembers", "reason")
KINDS = dict.fromkeys(("value", "low", "high"), "float64") | {"n_members": "Int64", "n_nonmembers": "Int64"}
GAP, MODEL_FREE = "gap", "model-free"
ABOUT = "about"  # name of the array that holds what is no array, as JSON
WORDS = ("num_classes", "shadows", "references", "verdict", "notes", "warnings")  # what is no array
SCORES = "scores/"  # before the names of attacks


@dataclass(frozen=True, repr=False)
class Audit:
    """What an audit found; shown or printed, its summary.

    Attributes:
        table: a row per attack and metric, columns as in an experiment's results where they apply; values are
            fractions. Accuracies have no attack; `gap` and `model-free` are baselines.
        num_classes: C.
        shadows: how many shadow models.
        references: how many reference models.
        verdict: whether members can be told from non-members, in words.
        notes: how inputs were read and attacks run.
        warnings: what limits what the values say, and what looks wrong with the inputs.
        member: whether each record is a member (N,), bool: members first, in the order given.
        scores: of each attack that could be run (N,), larger means more likely a member; NaN where an attack that
            asks much of a model scored only a part of the records.
    """

    table: pd.DataFrame
    num_classes: int
    shadows: int
    references: int
    verdict: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    member: NDArray[np.bool_]
    scores: Mapping[str, NDArray[np.float64]]

    def summary(self) -> str:
        """The verdict, each attack's AUC in percent, strongest first, and the warnings: a line each."""
        found = self.table[(self.table["metric"] == "auc") & self.table["value"].notna()]
        ranked = found.sort_values("value", ascending=False, kind="stable")
        width = max((len(name) for name in ranked["attack"]), default=0)
        columns = (ranked[name].tolist() for name in ("attack", "value", "low", "high"))
        lines = [
            f"{attack:{width}}  AUC {100 * value:6.2f} [{100 * low:.2f}, {100 * high:.2f}]"
            for attack, value, low, high in zip(*columns, strict=True)
        ]
        return "\n".join([self.verdict, *lines, *(f"warning: {warning}" for warning in self.warnings)])

    def __repr__(self) -> str:
        return self.summary()

    def to_dataframe(self) -> pd.DataFrame:
        """The table, a copy."""
        return self.table.copy()

    def save(self, path: str | Path) -> None:
        """Write everything as one npz of plain arrays and JSON."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        about = {name: getattr(self, name) for name in WORDS} | {"rows": rows}
        scores = {f"{SCORES}{name}": values for name, values in self.scores.items()}
        write_npz(Path(path), {ABOUT: np.array(json.dumps(about)), "member": self.member, **scores})

    @classmethod
    def load(cls, path: str | Path) -> Audit:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            UserError: the file is missing, damaged or another.
        """
        with open_npz(Path(path)) as file:
            arrays = {name: file[name] for name in file.files}
        try:
            about: dict[str, Any] = json.loads(str(arrays[ABOUT]))
            table = pd.DataFrame(about.pop("rows"), columns=list(COLUMNS)).astype(KINDS)
            words: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in about.items()
            }
            scores = {name[len(SCORES) :]: values for name, values in arrays.items() if name.startswith(SCORES)}
            return cls(table=table, member=arrays["member"], scores=scores, **words)
        except (KeyError, ValueError, TypeError, AttributeError):
            raise UserError(f"{path} is not a saved audit: write one by `save`") from None
