"""Label-only attack by random noise (Choquette-Choo et al., ICML 2021, arXiv:2007.14321; Li and Zhang, CCS 2021).

score = w . [label right for x, share of right labels for x + sigma * N(0, I) at each sigma]

A member lies farther from the decision boundary, so its label stands more noise. w is learnt on shadow models
(`_agreement`), which replaces the papers' search for one sigma. sigma is in units of the normalised input; the same
noise is used at every sigma, and is drawn from a stream of the record's own. Queries: 1 + copies a sigma. Differs from
the papers: Gaussian noise for binary features too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from miabench.attacks._agreement import AgreementAttack
from torch import Tensor

from miabench import Data, Field, Model, Probe, RecordNoise

SIGMAS = (0.1, 0.3, 1.0)
COPIES = 10


class NoisyLabels(Probe, frozen=True):
    """How often the label is right for a record, and for noisy copies of it."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.noise_agreement", "NoisyLabels")

    sigmas: tuple[float, ...]
    copies: int

    sees: ClassVar[Literal["label", "served", "network"]] = "label"

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Shares (n, 1 + sigmas), float32; the first is for the record itself."""
        right = torch.zeros(1 + len(self.sigmas), len(x), device=x.device)
        right[0] = ask(x) == y
        for _ in range(self.copies):
            drawn = noise.normal(*x.shape[1:]).to(x)
            for i, sigma in enumerate(self.sigmas, 1):
                right[i] += (ask(x + sigma * drawn) == y) / self.copies
        return right.T.contiguous()


class NoiseAgreement(AgreementAttack, frozen=True):
    """Members are classified correctly when noise is added to them."""

    sigmas: tuple[float, ...] = Field(SIGMAS, min_length=1, description="σ: standard deviations of the noise")
    copies: int = Field(COPIES, ge=1, description="noisy copies at each σ")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Token ids have no scale."""
        if data.x.dtype == torch.int64:
            return "its records are integer tokens, to which no noise can be added; it needs real-valued data"
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The shares alone."""
        return (NoisyLabels(sigmas=self.sigmas, copies=self.copies),)
