"""The paper's numbers: Tables 1 and 3 of Fang and Kim (UAI 2024).

uai24.csv holds them in percent, under this program's names; a value that the paper leaves out is empty. The paper does
not say what its ± is: it is taken for the standard deviation of its five runs.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from miabench.evaluation.measure import ACCURACIES

TABLES = Path(__file__).with_name("uai24.csv")
PAPER_RUNS = 5  # section 5.1
TOO_EXPENSIVE = "too expensive"  # section 5.1: "the cost of the white-box attack on DenseNet is too high"
NOT_GIVEN = "not given"  # Table 3 has no accuracies
ROUNDING = 0.00005  # of a published mean, which is given in percent with two decimals
QUANTITIES = (*ACCURACIES, "nn", "entropy", "m-entropy", "grad-x")  # those of the paper
ABLATION = ("imp-relaxloss", "relaxed-center-loss", "crl")  # Table 2: CRL without centers, and so on


class Moments(NamedTuple):
    """Mean and standard deviation (ddof 1) of n runs, as fractions."""

    mean: float
    std: float
    n: int


class PaperCell(NamedTuple):
    """What a line of the paper's tables is about."""

    dataset: str
    model: str
    defense: str


@dataclass(frozen=True)
class PaperLine:
    """A line of the paper's tables.

    Attributes:
        table: its name, `Table 1a`.
        values: by quantity (`train_accuracy`, `nn`, ...); None where the paper leaves the value out.
    """

    table: str
    values: Mapping[str, Moments | None]


Paper: TypeAlias = Mapping[PaperCell, PaperLine]


@cache
def paper() -> Paper:
    """The paper's Tables 1 and 3."""
    lines: dict[PaperCell, PaperLine] = {}
    with TABLES.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = PaperCell(row["dataset"], row["model"], row["defense"])
            table = lines.get(cell, PaperLine(row["table"], {}))
            lines[cell] = PaperLine(row["table"], {**table.values, row["quantity"]: _moments(row)})
    return lines


def _moments(row: Mapping[str, str]) -> Moments | None:
    if not row["mean_percent"]:
        return None
    return Moments(float(row["mean_percent"]) / 100, float(row["std_percent"]) / 100, PAPER_RUNS)
