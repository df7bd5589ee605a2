"""How many reference models a record is compared with: what an attack's calibration stands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from miabench.plugins.attack import Attack, Observed

FEWEST = 2  # OUT references of a shadow's record, on average, below which no threshold is learnt on shadows


class ReferenceCounts(NamedTuple):
    """References per record, on average, and where one is missing.

    Attributes:
        target_in: of the target's records, references that trained on the record.
        target_out: references that did not.
        shadows_in: the same of the shadows' records; 0 without shadows.
        shadows_out: likewise.
        lacking: the target's records that have no reference of a kind that the attack compares with: the population's
            answers stand in for it.
    """

    target_in: float
    target_out: float
    shadows_in: float
    shadows_out: float
    lacking: float

    @property
    def calibrate(self) -> bool:
        """Whether shadows have references enough for thresholds to be learnt on them."""
        return self.shadows_out >= FEWEST


def count_references(attack: Attack, target: Observed, shadows: Sequence[Observed]) -> ReferenceCounts | None:
    """The references of one attack; None where it compares with none, or with shadows whatever they trained on."""
    if target.reference_in is None or target.reference_out is None or attack.references == "shadows":
        return None
    own = _per_record([target])
    kinds = [target.reference_out]
    if attack.references in ("in+out", "any") and own[0]:
        kinds.append(target.reference_in)
    lacking = np.any([~kind.any(axis=0) for kind in kinds], axis=0)
    return ReferenceCounts(*own, *_per_record(shadows), float(lacking.sum()))


def _per_record(models: Sequence[Observed]) -> tuple[float, float]:
    return _mean([model.reference_in for model in models]), _mean([model.reference_out for model in models])


def _mean(masks: Sequence[NDArray[np.bool_] | None]) -> float:
    counts = [mask.sum(axis=0) for mask in masks if mask is not None]
    return float(np.concatenate(counts).mean()) if counts else 0.0
