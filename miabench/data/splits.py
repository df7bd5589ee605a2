"""Which records each model trains on, is tested on, and keeps aside: the paper's disjoint protocol, and tuning's.

The pool is cut in two halves, target and shadow, which share no record; each half is cut evenly into a training
part and a test part. All shadow models share the shadow half; shadow i cuts it with seed s + i (reference code,
dataloader/*.py). `train_test_split` of scikit-learn gives the reference's permutation exactly.

Tuning sees the shadow half alone: its target cuts it with seed s + 1000, its shadow i with s + 1001 + i. Unlike in the
disjoint protocol, target and shadows of a trial share records: each shadow has about half of the target's members, and
half of its non-members, among its own members. As the cuts are independent, which ones says nothing of membership.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from miabench.errors import UserError

Ids = NDArray[np.int64]
Protocol: TypeAlias = Literal["disjoint", "tune"]

TUNING = 1000  # tuning's first seed, counted from the experiment's: clear of the shadow models' own


@dataclass(frozen=True)
class Split:
    """One role's records, as pool rows in order.

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
            parts["train"], parts[name] = train_test_split(parts["train"], test_size=count, random_state=self.seed)
        return parts


def roles(shadows: int) -> list[str]:
    """`target`, `shadow-0`, ..., in order."""
    return ["target", *(f"shadow-{i}" for i in range(shadows))]


@cache
def split(n: int, seed: int, role: str, protocol: Protocol = "disjoint") -> Split:
    """The records of one role, of a pool of n.

    Args:
        n: records in the pool.
        seed: the experiment's; shadow i uses seed + i for its own cut.
        role: `target` or `shadow-0`, `shadow-1`, ...
        protocol: `tune` for a trial of tuning, which holds no record of the target half.
    """
    target, shadow = train_test_split(np.arange(n), test_size=0.5, random_state=seed)
    number = 0 if role == "target" else int(role.removeprefix("shadow-"))
    if protocol == "tune":
        half, own = shadow, seed + TUNING + number + (role != "target")
    else:
        half, own = (target if role == "target" else shadow), seed + number
    train, test = train_test_split(half, test_size=0.5, random_state=own)
    return Split(train, test, own)
