"""From a target's answers to what the figures show of each record: distances and confidences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import softmax

from miabench.metrics.estimates import Booleans, Floats
from miabench.reports.numbers.lines import Site, SiteKey, Summary
from miabench.reports.plots.sites import choose, sites
from miabench.results.index import Cell
from miabench.results.results import Answers, Results

MOST_CELLS = 24  # in one figure


class CellRecords(NamedTuple):
    """A cell's records over R runs.

    Attributes:
        members: (N,).
        to_boundary: the largest softmax probability minus the second largest (R, N): PROTOCOL.md section 5.
        to_origin: Euclidean length of the feature vector (R, N).
        confidence: softmax probability of the true class (R, N).
    """

    cell: Cell
    members: Booleans
    to_boundary: Floats
    to_origin: Floats
    confidence: Floats


class SiteRecords(NamedTuple):
    """Cells of one dataset and model, and what must be said about their choice."""

    cells: Sequence[CellRecords]
    choice: str


RecordsBySite: TypeAlias = Mapping[Site, SiteRecords]


def distance_to_boundary(logits: Floats) -> Floats:
    """The largest softmax probability of each row (N, C) minus the second largest (N,)."""
    top = np.partition(softmax(logits, axis=1), -2, axis=1)
    distance: Floats = top[:, -1] - top[:, -2]
    return distance


def load_records(results: Results, summary: Summary) -> dict[Site, SiteRecords]:
    """What the targets answer, by dataset and model, of those that have a trained target."""
    seen = {}
    for site in sites(summary):
        lines = [line for line in summary.lines if line.site_key == SiteKey(*site, summary.attackers[0])]
        chosen, choice = choose(summary, lines, MOST_CELLS)
        cells = [cell for line in chosen for cell in _load(line.cell, results.answers(line.cell))]
        if cells:
            seen[site] = SiteRecords(cells, choice)
    return seen


def _load(cell: Cell, runs: Iterator[Answers]) -> Iterator[CellRecords]:
    measured = [_measure(answers) for answers in runs]
    if measured:
        members, *quantities = zip(*measured, strict=True)
        yield CellRecords(cell, members[0], *(np.stack(quantity) for quantity in quantities))


def _measure(answers: Answers) -> tuple[Booleans, Floats, Floats, Floats]:
    logits = answers.logits.astype(np.float64)
    confidence = softmax(logits, axis=1)[np.arange(len(logits)), answers.labels]
    return answers.members, distance_to_boundary(logits), answers.feature_norm.astype(np.float64), confidence
