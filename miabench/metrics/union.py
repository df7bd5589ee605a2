"""Numbers of runs or attacks that are not about the same records, on the union of all records.

Under protocol pool a record is a member in some runs and a non-member in others, and a dear attack scores some records
alone. Let V_i be the influence of record i on a number A (see `miabench.metrics.influence`), of m members or n
non-members, V the mean of its kind. What the record moves A by is

    psi_i = (V_i - V) / m  for a member,  (V_i - V) / n  for a non-member,  0 where it is not scored

and over all N records of the union, whatever their kind, the influences N psi_i have the variance that
`miabench.metrics.spread` needs: var(N psi) / N = sum psi² N / (N - 1), which for one run is DeLong's variance but for
the divisors, and averages over runs record by record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from miabench.metrics.estimates import Floats
from miabench.metrics.influence import Influences

Rows = NDArray[np.int64]


def over_union(runs: Sequence[Influences], rows: Sequence[Rows], union: Rows) -> Influences:
    """One number in R runs, each about records of its own.

    >>> from miabench.metrics import auc_influences, mean_over_runs
    >>> random = np.random.default_rng(0)
    >>> members = random.random((4, 200)) < 0.5  # each run's own, of the same records
    >>> each = [auc_influences((own + random.normal(size=200))[None], own) for own in members]
    >>> every = np.arange(200)
    >>> [round(one, 2) for one in mean_over_runs(over_union(each, [every] * 4, every))]
    [0.78, 0.73, 0.83]

    Args:
        runs: of one run each, values (1,), records (1, n_r).
        rows: of each run's records (n_r,).
        union: all rows of any run (N,), ascending.

    Returns:
        values (R,), records (R, N), all of one kind.
    """
    moved = np.zeros((len(runs), len(union)))
    for i, (one, own) in enumerate(zip(runs, rows, strict=True)):
        moved[i, np.searchsorted(union, own)] = _moved(one)
    values = np.concatenate([one.values for one in runs])
    return Influences(
        values,
        moved * len(union) + values[:, None],
        np.ones(len(union), dtype=np.bool_),
        np.concatenate([one.over for one in runs]),
        np.concatenate([one.under for one in runs]),
        own_threshold=any(one.own_threshold for one in runs),
        rarer=min(one.fewest for one in runs),
    )


def stacked(numbers: Sequence[Influences]) -> Influences:
    """Numbers on the same runs and records as one of K numbers, values (K, R).

    Raises:
        ValueError: they are not about the same runs and records.
    """
    first = numbers[0]
    if any(one.records.shape != first.records.shape or (one.members != first.members).any() for one in numbers):
        raise ValueError("numbers to be stacked must be about the same runs and records")
    return Influences(
        np.stack([one.values for one in numbers]),
        np.stack([one.records for one in numbers]),
        first.members,
        np.stack([one.over for one in numbers]),
        np.stack([one.under for one in numbers]),
        own_threshold=any(one.own_threshold for one in numbers),
        rarer=None if first.rarer is None else min(one.fewest for one in numbers),
    )


def _moved(one: Influences) -> Floats:
    """Psi (n_r,) of a single run."""
    (records,) = one.records
    moved = np.empty(len(records))
    for kind in one.kinds:
        moved[kind] = (records[kind] - records[kind].mean()) / kind.sum()
    return moved
