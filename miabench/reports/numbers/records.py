"""What a target answers, record by record: how far from the boundary and the origin, and how sure of the true class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from miabench.logprob import log_odds, log_softmax
from miabench.metrics.estimates import Booleans, Floats
from miabench.results.index import Cell
from miabench.results.results import Answers, Results


class CellRecords(NamedTuple):
    """A cell's records over R runs.

    Attributes:
        members: (N,).
        to_boundary: log odds of the distance to the boundary (R, N), which is the largest softmax probability minus
            the second largest (PROTOCOL.md section 5); -inf where they are equal.
        to_origin: Euclidean length of the feature vector (R, N).
        confidence: log odds of the softmax probability of the true class (R, N).
    """

    cell: Cell
    members: Booleans
    to_boundary: Floats
    to_origin: Floats
    confidence: Floats


def records_of_cells(results: Results, cells: Sequence[Cell]) -> Iterator[CellRecords]:
    """The cells that have a trained target; of pairs of models the first run alone speaks."""
    for cell in cells:
        measured = [_measure(answers) for answers in results.answers(cell)]
        if measured:
            members, *quantities = zip(*measured, strict=True)
            yield CellRecords(cell, members[0], *(np.stack(quantity) for quantity in quantities))


def log_odds_of_distance(logits: Floats) -> Floats:
    """D / (1 - d), in logarithms (N,), of the distance d = p_1 - p_2 to the boundary; p fall in each row (N, C).

    In logarithms throughout: 1 - d is p_2 twice and all the others, so that nothing is rounded to 1.
    """
    log_p = -np.sort(-log_softmax(logits), axis=1)
    with np.errstate(divide="ignore"):
        log_d = log_p[:, 0] + np.log(-np.expm1(log_p[:, 1] - log_p[:, 0]))
    rest: Floats = log_d - np.logaddexp(log_p[:, 1], logsumexp(log_p[:, 1:], axis=1))
    return rest


def _measure(answers: Answers) -> tuple[Booleans, Floats, Floats, Floats]:
    logits = answers.logits.astype(np.float64)
    norms = answers.feature_norm.astype(np.float64)
    return answers.members, log_odds_of_distance(logits), norms, log_odds(logits, answers.labels)
