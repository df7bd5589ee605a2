"""Quantile regression attack (Bertran et al., NeurIPS 2023, arXiv:2307.03694; "QMIA").

score = phi(x) - q(x, y),  phi = log p_y - log(1 - p_y)
q = the (1 - alpha)-quantile of phi among records outside the training that look like x

q is gradient boosting (scikit-learn's HistGradientBoostingRegressor on the pinball loss) on the record and its class,
fitted on the target's answers to its population: one regressor a model, no reference model, and never a record that is
scored. Fitted on the records that it then scores, a regressor follows their own scores: of fresh non-members more than
alpha lie above it. Differs from the paper: trees in place of a network that starts from pretrained weights (images are
seen as means over at most 8 x 8 tiles), one quantile, and phi in place of the margin to the second class.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from miabench import Attack, Data, Field, LogOdds, Model, Observed, Probe, Scores, State, UserError

Array = NDArray[np.float64]

TILES = 8  # of an image, in each direction: thousands of pixels would take minutes a model
TREES = 100


class Quantile(Attack, frozen=True):
    """Members' confidence is above what is usual for records like them that the target never saw."""

    population: ClassVar[bool | Literal["needed"]] = "needed"
    inputs: ClassVar[bool] = True

    alpha: float = Field(0.1, gt=0, lt=1, description="α: share of non-members that should lie above the threshold")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Token ids are names, not numbers."""
        if data.x.dtype == torch.int64:
            return "its records are integer tokens, which trees cannot order; it needs images or real-valued features"
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The log odds of the true class."""
        return (LogOdds(),)

    def score(self, target: Observed, state: State) -> Scores:
        """Distances above the quantile (N,).

        Raises:
            UserError: there is no population.
        """
        outside = target.population
        if not outside:
            raise UserError("quantile learns from records known to be outside the training, but there are none")
        fitted_on = features(outside)
        return target[LogOdds()] - quantiles(fitted_on, outside[LogOdds()], features(target), 1 - self.alpha)


def features(observed: Observed) -> Array:
    """What the regressor sees of each record (N, F): its numbers, or an image's tiles, and its class."""
    x = np.asarray(observed.inputs, dtype=np.float64)
    if x.ndim == 4:
        x = _tiled(_tiled(x, 2), 3)
    return np.concatenate([x.reshape(len(x), -1), np.eye(observed.num_classes)[observed.labels]], axis=1)


def _tiled(x: Array, axis: int) -> Array:
    """Means over at most TILES stretches of an axis, as equal as can be."""
    length = x.shape[axis]
    starts = np.unique(np.arange(TILES) * length // TILES)
    sizes = np.diff([*starts, length]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    means: Array = np.add.reduceat(x, starts, axis=axis) / sizes
    return means


def quantiles(x: Array, y: Array, at: Array, level: float) -> Array:
    """Quantiles of y given x, where x is `at` (n,), learnt from pairs x (m, F) and y (m,)."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(
        loss="quantile", quantile=level, max_iter=TREES, random_state=0, early_stopping=False
    )
    found: Array = trees.fit(x, y).predict(at)
    return found
