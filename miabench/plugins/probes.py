"""What can be had from every network's own observation: its feature norms, and what follows from its logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from miabench.logprob import log_odds, log_softmax
from miabench.plugins.attack import Logits, Probe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FeatureNorm(Probe, frozen=True):
    """The Euclidean length of each record's feature vector, float32; stored of every network for the whole pool."""

    sees: ClassVar[Literal["label", "served", "network"]] = "network"
    whole_pool: ClassVar[bool] = True
    base: ClassVar[str | None] = "feature_norm"
    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.probes", "FeatureNorm")


class LogOdds(Probe, frozen=True):
    """Log odds of the true class, log p_y - log(1 - p_y), never saturated: Carlini et al.'s phi (S&P 2022)."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.probes", "LogOdds")

    @property
    def of(self) -> Probe:
        """The served logits."""
        return Logits()

    def derive(self, answers: Any, y: NDArray[np.int64]) -> NDArray[np.float64]:
        """z_y - logsumexp of the other logits (N,), float64."""
        return log_odds(answers, y)


class TrueProbability(Probe, frozen=True):
    """Probability of the true class, softmax(z / T)_y, as RMIA compares (Zarifzadeh et al., ICML 2024)."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.probes", "TrueProbability")

    temperature: float = Field(1.0, gt=0, description="T: what logits are divided by")

    @property
    def of(self) -> Probe:
        """The served logits."""
        return Logits()

    def derive(self, answers: Any, y: NDArray[np.int64]) -> NDArray[np.float64]:
        """p_y (N,), float64, 0 to 1."""
        import numpy as np

        log_p = log_softmax(np.asarray(answers, dtype=np.float64) / self.temperature)
        p: NDArray[np.float64] = np.exp(log_p[np.arange(len(y)), y])
        return p
