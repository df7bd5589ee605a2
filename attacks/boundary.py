"""Label-only attack by distance to the decision boundary (Choquette-Choo et al., ICML 2021; Li and Zhang, CCS 2021).

score = least || x' - x ||_2 among the points x' that were asked about and are not classified as y; 0 where x is not

x is normalised, and x' is not clipped to the data's range. The points are HopSkipJump's (Chen et al., S&P 2020,
arXiv:1904.02144), as in the Adversarial Robustness Toolbox: it starts from uniform noise around the record and walks
along the boundary with what its queries say. `queries` is the budget of one record and is kept to exactly. The distance
found is never too small; on a linear model of 72 inputs it is 1.1 times the exact one with 850 queries, 1.7 times with
150. That is dear: so only `records` members and as many non-members are scored. Differs from the papers' code: the
nearest point of all queries counts, not the last. Needs the toolbox: pip install 'miabench[boundary]'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from miabench.attacks._toolbox import numpy_seeded, why_not
from numpy.typing import NDArray
from torch import Tensor

from miabench import Access, Attack, Data, Field, Model, Observed, Probe, RecordNoise, Scores, State

STARTS = 50  # random points asked at most, until one is classified otherwise
FIRST_DIRECTIONS = 10  # asked for the first estimate of the boundary's direction; t-th: 10 sqrt(t)
STEPS = 10_000  # more than any budget allows: the budget ends the search


class BoundaryDistance(Probe, frozen=True):
    """Distance to the nearest point found that is classified otherwise."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.boundary", "BoundaryDistance")

    queries: int

    sees: ClassVar[Literal["label", "served", "network"]] = "label"

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Distances (n,), float64; where every point asked is classified as y, that of the farthest."""
        seeds = (noise.uniform(1)[:, 0] * 2**32).long().tolist()
        right = (ask(x) == y).tolist()
        found = [
            _Search(ask, x[i], int(y[i]), self.queries - 1).distance(seed) if right[i] else 0.0
            for i, seed in enumerate(seeds)
        ]
        return torch.tensor(found, dtype=torch.float64)


class Boundary(Attack, frozen=True):
    """Members lie farther from the decision boundary."""

    access: ClassVar[Access] = "label"

    queries: int = Field(850, ge=50, description="labels asked for each record")
    records: int = Field(200, ge=1, description="members, and as many non-members, that are scored")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Token ids have no neighbourhood; the toolbox is not installed."""
        return why_not(data, "distance")

    def probes(self) -> tuple[Probe, ...]:
        """The distance alone."""
        return (BoundaryDistance(queries=self.queries, records=self.records),)

    def score(self, target: Observed, state: State) -> Scores:
        """Distances (N,)."""
        (probe,) = self.probes()
        return target[probe]


class _SpentError(Exception):
    """The budget is spent: the search ends here."""


class _Search:
    """One record's search: counts its queries and remembers how near the nearest point was.

    Args:
        ask: gives classes.
        x: the record.
        y: its class, which it is classified as.
        queries: the budget.
    """

    def __init__(self, ask: Callable[[Tensor], Tensor], x: Tensor, y: int, queries: int) -> None:
        self.ask = ask
        self.x = x
        self.y = y
        self.left = queries
        self.nearest = np.inf
        self.farthest = 0.0

    def distance(self, seed: int) -> float:
        """Least distance of a point that is classified otherwise."""
        from art.attacks.evasion import HopSkipJump
        from art.estimators.classification import BlackBoxClassifier

        x = self.x.cpu().numpy().astype(np.float32)
        low, high = _around(x)
        model = BlackBoxClassifier(self._one_hot, x.shape, 2, clip_values=(low, high))
        search = HopSkipJump(
            model, self.left, max_iter=STEPS, max_eval=self.left, init_eval=FIRST_DIRECTIONS, verbose=False
        )
        with numpy_seeded(seed):
            try:
                start = self._start(np.random.uniform(low, high, (STARTS, *x.shape)).astype(np.float32))
                if start is not None:
                    search.generate(x[None], x_adv_init=start[None])
            except _SpentError:
                pass
        return float(self.nearest if np.isfinite(self.nearest) else self.farthest)

    def _start(self, points: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The first of some points that is classified otherwise; asked one at a time."""
        return next((points[i] for i in range(len(points)) if self._others(points[i : i + 1])[0]), None)

    def _one_hot(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Two classes: as the record, and otherwise."""
        one_hot: NDArray[np.float32] = np.eye(2, dtype=np.float32)[self._others(points).astype(int)]
        return one_hot

    def _others(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which points (m, ...) are classified otherwise; what exceeds the budget is not asked."""
        if not self.left:
            raise _SpentError
        shown = torch.from_numpy(points[: self.left]).to(self.x)
        self.left -= len(shown)
        others: NDArray[np.bool_] = (self.ask(shown) != self.y).cpu().numpy()
        distances = torch.linalg.vector_norm((shown - self.x).double().flatten(1), dim=1).cpu().numpy()
        self.nearest = min([self.nearest, *distances[others]])
        self.farthest = max([self.farthest, *distances])
        if len(shown) < len(points):
            raise _SpentError
        return others


def _around(x: NDArray[np.float32]) -> tuple[float, float]:
    """The range to search: the record's own, widened by its width on both sides."""
    low, high = float(x.min()), float(x.max())
    width = high - low or 1.0
    return low - width, high + width
