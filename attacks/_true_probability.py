"""The true class' probability under the target and under a model drawn anew, in log space (RMIA, BASE).

p(x | model) = softmax(z / T)_y;  under a model drawn anew, P(x) = (mean over IN + mean over OUT) / 2
"""

from __future__ import annotations

import numpy as np
from miabench.attacks._references import Array, of_kind

from miabench import Observed, Probe

SMALLEST = np.finfo(np.float64).tiny  # 2e-308 stands for probabilities below it: ratios are finite


def log_of_target(observed: Observed, probe: Probe) -> Array:
    """Logarithms of p(x | target) (N,)."""
    return log(np.asarray(observed[probe], dtype=np.float64))


def mean_out(observed: Observed, probe: Probe) -> Array:
    """Mean of p(x | model) over the references that did not train on the record (N,)."""
    return of_kind(observed, probe, "out").mean


def mean_both(observed: Observed, probe: Probe) -> Array:
    """P(x) (N,): each kind of references weighs one half, however many they are."""
    return (mean_out(observed, probe) + of_kind(observed, probe, "in").mean) / 2


def log(p: Array) -> Array:
    """Logarithms of probabilities (N,)."""
    logs: Array = np.log(np.maximum(p, SMALLEST))
    return logs
