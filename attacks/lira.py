"""LiRA, the likelihood ratio attack (Carlini et al., S&P 2022, arXiv:2112.03570), with phi = log p_y - log(1 - p_y).

online:           score = log f(phi; IN) - log f(phi; OUT)
offline:          score = log F(phi; OUT), one-sided: F(phi) = 1 - Pr[Z > phi], the paper's equation 4
offline-refcode:  score = -log f(phi; OUT), two-sided, as in the authors' code: a record far below its OUT references
                  counts as a member too

f and F are density and distribution function of what the references of a kind answer on the record, around their mean:
pooled:  normal, one variance a kind: the mean square of all records' centred residuals
record:  normal, the variance of the record's own answers (ddof 0)
shrunk:  Student's t with d0 + nu degrees of freedom, whose squared scale is (1 + 1/n) * (d0 s0^2 + nu s^2) / (d0 + nu):
         s^2 is the variance of the record's n answers of the kind, on nu = n - 1 degrees of freedom, drawn towards s0^2
         by a prior that is fitted on all records, for each kind apart

phi is exact (no clipped probability). Where F rounds to 1, records are ranked on by the standardised phi, above all
others. A record without references of a kind takes mean and deviation of all records' answers of that kind. Differs
from the authors' code: means in place of medians, IN and OUT variances apart, residuals centred. Shrunk is the default:
on Location30 with 2 to 32 references a kind no other finds more, under CE, RelaxLoss and CRL, online and offline
(benchmarks/lira_variance.py). Members' answers vary less than others', so one variance for both kinds finds less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from miabench.attacks._references import Array, Kind, OnlineAttack, of_kind
from miabench.attacks._variance_prior import fit_prior
from numpy.typing import NDArray

from miabench import Field, LogOdds, Observed, Probe, Scores, State

SMALLEST_SD = 1e-30  # of the authors' code: references that answer alike still give finite scores
UNDERFLOW = 1e-290  # a distribution function below it is taken from its expansion


class Predictive(NamedTuple):
    """What a model of one kind is expected to answer: location and scale (N,), and degrees of freedom.

    Attributes:
        mean: (N,).
        scale: (N,), positive.
        df: of Student's t (N,), or None for the normal.
    """

    mean: Array
    scale: Array
    df: Array | None

    def log_density(self, phi: Array) -> Array:
        """Logarithm of f(phi) (N,)."""
        from scipy.special import gammaln

        z = (phi - self.mean) / self.scale
        if self.df is None:
            return -(z**2) / 2 - np.log(self.scale) - math.log(2 * math.pi) / 2
        half = (self.df + 1) / 2
        constant = gammaln(half) - gammaln(self.df / 2) - np.log(self.df * math.pi) / 2
        density: Array = constant - np.log(self.scale) - half * np.log1p(z**2 / self.df)
        return density

    def log_distribution(self, phi: Array) -> Array:
        """Logarithm of F(phi) (N,); where it rounds to 0, the standardised phi."""
        from scipy.special import log_ndtr

        z = (phi - self.mean) / self.scale
        log_f: Array = log_ndtr(z) if self.df is None else _log_t(z, self.df)
        return np.where(log_f < 0, log_f, z)


class LiRA(OnlineAttack, frozen=True):
    """Members' answers fit those of models that trained on them better than those of models that did not."""

    mode: Literal["auto", "online", "offline", "offline-refcode"] = Field(  # type: ignore[assignment]
        "auto", description="online, offline (one-sided), offline-refcode (two-sided); auto: online with IN and OUT"
    )
    variance: Literal["pooled", "record", "shrunk"] = Field(
        "shrunk", description="of the references' answers: one, one per record, or per record drawn towards one"
    )

    def probes(self) -> tuple[Probe, ...]:
        """The log odds of the true class."""
        return (LogOdds(),)

    def score(self, target: Observed, state: State) -> Scores:
        """Log likelihood ratios, log distribution functions or minus log densities (N,)."""
        phi = target[LogOdds()]
        kinds = [of_kind(target, LogOdds(), "out")]
        if self.online(target):
            kinds.append(of_kind(target, LogOdds(), "in"))
        out, *inside = self._predictives(kinds)
        if inside:
            return inside[0].log_density(phi) - out.log_density(phi)
        return -out.log_density(phi) if self.mode == "offline-refcode" else out.log_distribution(phi)

    def _predictives(self, kinds: Sequence[Kind]) -> list[Predictive]:
        return [self._predictive(kind, sd) for kind, sd in zip(kinds, _pooled(kinds), strict=True)]

    def _predictive(self, kind: Kind, pooled: float) -> Predictive:
        df, sd = None, np.full(len(kind.mean), pooled)
        if self.variance == "record":
            sd = np.where(kind.number > 1, np.sqrt(kind.squares / np.maximum(kind.number, 1)), pooled)
        elif self.variance == "shrunk":
            nu = np.maximum(kind.number - 1, 0)
            prior = fit_prior(kind.squares, nu)
            if prior is not None:  # else there is one reference a record, and no residual
                df, variance = prior.shrink(kind.squares, nu)
                sd = np.sqrt(variance * (1 + 1 / np.maximum(kind.number, 1)))
        return Predictive(kind.mean, np.where(kind.number > 0, sd, kind.spread) + SMALLEST_SD, df)


def _pooled(kinds: Sequence[Kind]) -> list[float]:
    """Each kind's standard deviation; where a kind has one reference a record, and no residuals, the other's, or 1."""
    found: list[float | None] = []
    for kind in kinds:
        n = int(kind.number[kind.number > 1].sum())
        found.append(math.sqrt(math.fsum(kind.squares) / n) if n else None)
    known = [sd for sd in found if sd is not None]
    return [sd if sd is not None else (known or [1.0])[0] for sd in found]


def _log_t(z: Array, df: Array) -> Array:
    """Logarithm of Student's distribution function at z (N,), precise in both tails.

    Far down it underflows; there log F(-z) = log f(z) + log((df + z^2) / (df z)) + O(1 / z^2).
    """
    from scipy.special import stdtr

    tail = stdtr(df, -np.abs(z))
    log_f: NDArray[np.float64] = np.where(z > 0, np.log1p(-tail), np.log(np.maximum(tail, UNDERFLOW)))
    deep = (z < 0) & (tail < UNDERFLOW)
    size, of = -z[deep], df[deep]
    standard = Predictive(np.zeros(size.shape), np.ones(size.shape), of)
    log_f[deep] = standard.log_density(size) + np.log((of + size**2) / (of * size))
    return log_f
