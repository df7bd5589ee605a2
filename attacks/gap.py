"""Gap attack (Yeom et al., IEEE CSF 2018, arXiv:1709.01604): a record that is classified correctly is a member.

score = 1 where argmax of the answer is y, else 0

Its AUC, and its balanced accuracy, are 1/2 + (training accuracy - test accuracy) / 2. It needs the predicted class
alone: an attack that finds less is broken, or the defense hides scores only.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from miabench import Access, Attack, Logits, Observed, Probe, Scores, State


class Correct(Probe, frozen=True):
    """Whether the answered class is the true one, from stored answers."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.gap", "Correct")

    sees: ClassVar[Literal["label", "served", "network"]] = "label"

    @property
    def of(self) -> Probe:
        """The logits."""
        return Logits()

    def derive(self, answers: Any, y: NDArray[np.int64]) -> NDArray[np.float64]:
        """1 or 0 (N,)."""
        correct: NDArray[np.float64] = (answers.argmax(1) == y).astype(np.float64)
        return correct


class Gap(Attack, frozen=True):
    """Members are classified correctly."""

    access: ClassVar[Access] = "label"

    def probes(self) -> tuple[Probe, ...]:
        """Correct or not."""
        return (Correct(),)

    def score(self, target: Observed, state: State) -> Scores:
        """1 or 0 (N,)."""
        return target[Correct()]
