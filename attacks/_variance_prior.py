"""The prior of variances that differ from record to record, fitted to their estimates (Smyth, SAGMB 2004, section 6).

1 / sigma_i^2 ~ chi2(d0) / (d0 s0^2);  so  s_i^2 / s0^2 ~ F(nu_i, d0)  for an estimate s_i^2 on nu_i degrees of freedom.
d0 and s0^2 are the maximum of that likelihood (Smyth matches moments of log s^2). The posterior of sigma_i^2 is what a
record with d0 + nu_i degrees of freedom and the estimate (d0 s0^2 + nu_i s_i^2) / (d0 + nu_i) would have.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

D0_RANGE = (1e-2, 1e6)  # from "no two records are alike" to "all are alike"


class Prior(NamedTuple):
    """Degrees of freedom d0 and scale s0^2."""

    d0: float
    s0: float

    def shrink(self, squares: Array, nu: Array) -> tuple[Array, Array]:
        """Posterior degrees of freedom and variance of each record (N,), from summed squares nu s^2 and nu."""
        return self.d0 + nu, (self.d0 * self.s0 + squares) / (self.d0 + nu)


def fit_prior(squares: Array, nu: Array) -> Prior | None:
    """The likeliest prior, or None where no record has a positive estimate.

    Estimates of exactly 0 (references that answer alike to the last bit) have no density and are left out.

    Args:
        squares: summed squared residuals nu s^2 of each record (N,).
        nu: their degrees of freedom (N,).
    """
    from scipy.optimize import minimize

    known = (nu > 0) & (squares > 0)
    if not known.any():
        return None
    s2, nu = squares[known] / nu[known], nu[known]
    order = np.lexsort((nu, s2))  # sums in one order, whatever the records' order
    s2, nu = s2[order], nu[order]
    middle = math.log(np.average(s2, weights=nu))
    found = minimize(  # type: ignore[call-overload]  # its stubs want more of a function than two numbers
        lambda at: -log_likelihood(math.exp(at[0]), math.exp(at[1]), s2, nu) / len(s2),
        x0=[math.log(10.0), middle],
        method="Nelder-Mead",
        bounds=[(math.log(D0_RANGE[0]), math.log(D0_RANGE[1])), (None, None)],
        options={"xatol": 1e-6, "fatol": 1e-12},
    )
    return Prior(math.exp(found.x[0]), math.exp(found.x[1]))


def log_likelihood(d0: float, s0: float, s2: Array, nu: Array) -> float:
    """Log density of the estimates s2 (N,) on nu (N,) degrees of freedom, under a prior d0 and s0^2."""
    from scipy.special import gammaln

    few, place = np.unique(nu, return_inverse=True)
    constant = gammaln((few + d0) / 2) - gammaln(d0 / 2) - gammaln(few / 2) + few / 2 * np.log(few / (d0 * s0))
    ratio = nu * s2 / (d0 * s0)
    return float((constant[place] + (nu / 2 - 1) * np.log(s2) - (nu + d0) / 2 * np.log1p(ratio)).sum())
