"""How much likelier a record's class is under the target than under a model drawn anew (Zarifzadeh et al., ICML 2024).

r(x) = log p(x | target) - log p(x),  p(x | model) = softmax(z / T)_y
online:   p(x) = (mean over IN + mean over OUT) / 2
offline:  the mean over IN is taken to be a * (mean over OUT) + 1 - a, so p(x) = ((1 + a) * (mean over OUT) + 1 - a) / 2

What RMIA counts with, and the score of BASE (Lassila et al., 2025, arXiv:2505.24089).
"""

from __future__ import annotations

import numpy as np
from miabench.attacks._references import Array, of_kind

from miabench import Observed, TrueProbability

SMALLEST = np.finfo(np.float64).tiny  # 2e-308 stands for probabilities below it: ratios are finite


def log_ratio(observed: Observed, temperature: float, a: float, online: bool) -> Array:
    """The ratio r(x) of each record (N,).

    Args:
        observed: the records.
        temperature: T.
        a: of the offline form, from 0 (the mean over IN is 1) to 1 (it is the mean over OUT).
        online: which form.
    """
    probe = TrueProbability(temperature=temperature)
    out = of_kind(observed, probe, "out").mean
    inside = of_kind(observed, probe, "in").mean if online else a * out + 1 - a
    return _log(np.asarray(observed[probe], dtype=np.float64)) - _log((inside + out) / 2)


def _log(p: Array) -> Array:
    logs: Array = np.log(np.maximum(p, SMALLEST))
    return logs
