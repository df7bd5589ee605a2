"""Which records each model trains on, is tested on, and keeps aside: the paper's disjoint protocol.

The pool is cut in two halves, target and shadow, which share no record; each half is cut evenly into a training
part and a test part. All shadow models share the shadow half; shadow i cuts it with seed s + i (reference code,
dataloader/*.py). The cuts are those of scikit-learn's `train_test_split`, record by record; importing it would take
longer than all else that planning does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """One role's records, as pool rows in order; equal to itself alone.

    Attributes:
        train: what the defense must protect, before anything is withheld.
        test: the non-members.
        seed: what the training part is cut with again when a defense withholds a share of it.
    """

    train: Ids
    test: Ids
    seed: int

    def withhold(self, shares: Mapping[str, float]) -> dict[str, Ids]:
        """Carve named shares of the training part; what remains is `"train"`: the members.

        Each share is a fraction of the whole training part (rounded up) and is cut from what the earlier ones left.

        Raises:
            UserError: fewer than two records remain.
        """
        parts = {"train": self.train}
        counts = {name: math.ceil(share * len(self.train)) for name, share in shares.items()}
        if len(self.train) - sum(counts.values()) < 2:
            raise UserError(
                f"of {len(self.train)} training records, withholding {', '.join(f'{counts[n]} ({n})' for n in counts)} "
                "leaves fewer than 2 to train on; lower the share or use more records"
            )
        for name, count in counts.items():
            parts["train"], parts[name] = _cut(parts["train"], count, self.seed)
        return parts


def roles(shadows: int) -> list[str]:
    """`target`, `shadow-0`, ..., in order."""
    return ["target", *(f"shadow-{i}" for i in range(shadows))]


@cache
def halves(n: int, seed: int) -> tuple[Ids, Ids]:
    """Target half and shadow half of a pool of n records."""
    return _cut(np.arange(n), math.ceil(n / 2), seed)


@cache
def split(n: int, seed: int, role: str) -> Split:
    """The records of one role, of a pool of n.

    Args:
        n: records in the pool.
        seed: the experiment's; shadow i uses seed + i for its own cut.
        role: `target` or `shadow-0`, `shadow-1`, ...
    """
    target, shadow = halves(n, seed)
    if role == "target":
        half, own = target, seed
    else:
        half, own = shadow, seed + int(role.removeprefix("shadow-"))
    train, test = _cut(half, math.ceil(len(half) / 2), own)
    return Split(train, test, own)


def _cut(ids: Ids, count: int, seed: int) -> tuple[Ids, Ids]:
    """The records, shuffled, without `count` of them, and these: the first `count` of a permutation."""
    order = np.random.RandomState(seed).permutation(len(ids))
    return ids[order[count:]], ids[order[:count]]
