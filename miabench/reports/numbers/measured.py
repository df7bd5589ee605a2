"""What is measured of each cell: accuracies and attacks over runs, and what they stand on."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import NamedTuple

from pydantic import TypeAdapter

from miabench.evaluation.measure import ACCURACIES
from miabench.evaluation.references import ReferenceCounts
from miabench.reports.numbers.claims import claimed
from miabench.reports.numbers.environments import environment
from miabench.reports.numbers.lines import Measurement, RunStats
from miabench.results.index import Cell, Shown
from miabench.results.results import Results


class CellMeasured(NamedTuple):
    """What is measured of one cell.

    Attributes:
        train: train accuracy.
        test: test accuracy.
        lowest: lower ends of the 95% intervals of the runs' train and test accuracies.
        attacks: an attack's metric, by attacker and attack.
        claimed: values of the defense's claim about its trainings; None without one.
        references: of each target, the attack's label and how many reference models its records were compared with.
        without_threshold: numbers of classes that have no threshold of their own.
        environment: what the artifacts were made with, by name: a library's version, or a processor; each value once.
    """

    train: RunStats
    test: RunStats
    lowest: list[tuple[float, float]]
    attacks: dict[str, dict[str, RunStats]]
    claimed: Shown | None
    references: list[tuple[Shown, ReferenceCounts]]
    without_threshold: list[int]
    environment: list[tuple[Shown, Shown]]


MEASURED = TypeAdapter(CellMeasured)


def measured_cells(results: Results, metric: str) -> list[CellMeasured]:
    """Of each cell of the index, with one metric of its attacks."""
    return [
        results.derived.get(
            ["measured", metric, results.about(cell)], MEASURED, partial(_measured, results, cell, metric)
        )
        for cell in results.index.cells
    ]


def _measured(results: Results, cell: Cell, metric: str) -> CellMeasured:
    accuracies: dict[str, list[Measurement]] = {name: [] for name in ACCURACIES}
    attacks: dict[str, dict[str, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    references, without = list[tuple[str, ReferenceCounts]](), set[int]()
    for entry in results.entries(cell):
        key = entry.metrics.key if entry.metrics else None
        for row in results.measured(entry):
            one = Measurement(row.get("value"), row.get("low"), row.get("n_members"), key, row["reason"])
            if entry.attack is None:
                accuracies[row["metric"]].append(one)
                continue
            if row["metric"] == metric:
                attacks[str(entry.attacker)][entry.attack].append(one)
            if counts := row.get("references"):
                references.append((entry.attack, counts))
            without.add(row.get("classes_without_threshold", 0))
    train, test = (accuracies[name] for name in ACCURACIES)
    return CellMeasured(
        train=RunStats.of(train),
        test=RunStats.of(test),
        lowest=[
            (one.low, other.low)
            for one, other in zip(train, test, strict=True)
            if one.low is not None and other.low is not None
        ],
        attacks={name: {one: RunStats.of(runs) for one, runs in own.items()} for name, own in attacks.items()},
        claimed=claimed(results, cell),
        references=references,
        without_threshold=sorted(without - {0}),
        environment=environment(results, cell),
    )
