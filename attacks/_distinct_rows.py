"""The distinct inputs of an attack's network, so that scores do not depend on which records stand beside which."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def distinct_rows(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The distinct rows of x (N, F) in an order of their own, and where each row is among them (N,).

    The last bit of a matrix product depends on a row's place in the matrix. Scores must not depend on it, and
    records with the same input must be tied.
    """
    as_bytes = np.ascontiguousarray(x).view(np.dtype((np.void, x.itemsize * x.shape[1])))[:, 0]
    _, first, place = np.unique(as_bytes, return_index=True, return_inverse=True)
    return x[first], place
