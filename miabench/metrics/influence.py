"""How much every record makes of a number, in every run: what intervals over runs are computed from.

Each function takes the scores or decisions of R runs on the same N records, with any leading axes (say, K attacks),
and returns `Influences`. A number's variance over records is the variance of its records' influences; runs share
their records, so influences are kept by record and can be averaged over runs, or subtracted from those of another
defense, before variances are taken.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from miabench.metrics.curve import allowed_errors
from miabench.metrics.estimates import Booleans, Floats, both_kinds
from miabench.metrics.placements import placements


class Influences(NamedTuple):
    """One number in R runs, and what each of N records makes of it.

    Attributes:
        values: (..., R).
        records: (..., R, N); within members, and within non-members, only differences count.
        members: (N,), booleans; all True where records are of one kind.
        over: (..., R): by how much a value may exceed what it estimates, whatever the sample; 0 for an AUC.
        under: (..., R): by how much it may fall short.
        own_threshold: whether each run chooses its own threshold: the error is then skewed.
        rarer: of numbers on a union of records (see `miabench.metrics.union`), the records of the rarer kind of the
            run that has fewest.
    """

    values: Floats
    records: Floats
    members: Booleans
    over: Floats
    under: Floats
    own_threshold: bool = False
    rarer: int | None = None

    @property
    def runs(self) -> int:
        """R."""
        return int(self.values.shape[-1])

    @property
    def kinds(self) -> list[Booleans]:
        """Which records are members, and which are not, if there are any."""
        return [kind for kind in (self.members, ~self.members) if kind.any()]

    @property
    def fewest(self) -> int:
        """Records of the rarer kind."""
        return self.rarer or min(int(kind.sum()) for kind in self.kinds)

    def pick(self, index: int) -> Influences:
        """Those of one item of the first axis."""
        values, records, over, under = (a[index] for a in (self.values, self.records, self.over, self.under))
        return self._replace(values=values, records=records, over=over, under=under)

    def as_one_of_several(self) -> Influences:
        """The same with a first axis of one item."""
        values, records, over, under = (a[None] for a in (self.values, self.records, self.over, self.under))
        return self._replace(values=values, records=records, over=over, under=under)

    def minus(self, other: Influences) -> Influences:
        """Those of the difference, paired by run and record.

        Raises:
            ValueError: the two are not about the same runs and records.
        """
        if self.records.shape[-2:] != other.records.shape[-2:] or not np.array_equal(self.members, other.members):
            raise ValueError(
                f"a difference needs the same runs and records, got shapes {self.records.shape[-2:]} and "
                f"{other.records.shape[-2:]}{'' if len(self.members) != len(other.members) else ', members differ'}"
            )
        return Influences(
            self.values - other.values,
            self.records - other.records,
            self.members,
            over=self.over + other.under,
            under=self.under + other.over,
            own_threshold=self.own_threshold or other.own_threshold,
            rarer=None if self.rarer is None or other.rarer is None else min(self.rarer, other.rarer),
        )


def auc_influences(scores: ArrayLike, members: ArrayLike) -> Influences:
    """Of the area under the ROC curve: placements (DeLong et al., Biometrics 1988).

    >>> auc_influences([[1.0, 3, 4, 2, 0]], np.array([True, True, True, False, False])).values.round(3)
    array([0.833])

    Args:
        scores: (..., R, N), finite.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: scores or members are not as described.
    """
    scores, members = _checked(scores, members)
    placed = placements(scores, members)
    m = int(members.sum())
    pairs = 2 * m * (len(members) - m)
    wins = np.rint(placed[..., members] * (pairs // m)).sum(axis=-1)  # a tie is half a win: whole numbers, so exact
    return _exact(wins / pairs, placed, members)


def accuracy_influences(correct: ArrayLike) -> Influences:
    """Of the share of records that are classified correctly, or of members (or non-members) called members.

    Args:
        correct: (..., R, N), from 0 to 1.

    Raises:
        ValueError: correct is not as described.
    """
    records = np.asarray(correct, dtype=np.float64)
    if records.ndim < 2 or 0 in records.shape or not ((records >= 0) & (records <= 1)).all():
        raise ValueError(f"values must be from 0 to 1 with shape (..., runs, records), got shape {records.shape}")
    return _exact(records.mean(axis=-1), records, np.ones(records.shape[-1], dtype=np.bool_))


def balanced_accuracy_influences(predicted: ArrayLike, members: ArrayLike) -> Influences:
    """Of ½ (TPR + TNR) of an attack's decisions; the advantage is twice this minus 1.

    Args:
        predicted: (..., R, N), booleans: called a member.
        members: (N,), booleans, both kinds present.

    Raises:
        ValueError: predicted or members are not as described.
    """
    decided, members = _checked(predicted, members)
    halves = np.where(members, decided, 1 - decided) / 2  # right or wrong, each kind worth one half
    return _exact(halves[..., members].mean(axis=-1) + halves[..., ~members].mean(axis=-1), halves, members)


def tpr_influences(scores: ArrayLike, members: ArrayLike, fpr: float) -> Influences | None:
    """Of the true positive rate at a false positive rate, each run at its own threshold.

    A member's influence is whether it is found. Non-members move the threshold: one more above it lowers the TPR by
    the slope of the ROC curve there, which is taken between the ranks 2 sqrt(a + 1) above and below the threshold's,
    a being the false positives allowed: about as far as the threshold moves from sample to sample.

    The TPR may be too high or too low beyond that. Just above the (a+1)-th largest of n non-members the expected
    false positive rate is (a + 1) / (n + 1), not a / n: `over` holds the slope times the excess above `fpr`. And
    where a block of tied records holds the threshold, it may belong inside the rate or outside: `over` and `under`
    hold the TPR that would be lost without the last block, or won with the next, where the counts leave this open.

    With scores negated and members swapped it is the true negative rate at a false negative rate.

    Args:
        scores: (..., R, N), finite.
        members: (N,), booleans, both kinds present.
        fpr: a fraction between 0 and 1, not percent.

    Returns:
        None if there are fewer than 1/fpr non-members: no false positive would be allowed.

    Raises:
        ValueError: scores, members or fpr are not as described.
    """
    scores, members = _checked(scores, members)
    n = int((~members).sum())
    allowed = allowed_errors(fpr, n)
    return None if allowed < 1 else _at_own_threshold(scores, members, allowed, fpr)


def _at_own_threshold(scores: Floats, members: Booleans, allowed: int, fpr: float) -> Influences:
    inside, outside = scores[..., members], scores[..., ~members]
    falling = -np.sort(-outside, axis=-1)
    n = falling.shape[-1]
    reach = math.ceil(2 * math.sqrt(allowed + 1))
    limit = falling[..., allowed, None]  # records above it are called members
    found = inside > limit
    nearer, farther = max(allowed - reach, -1), min(allowed + reach, n - 1)
    rise = _share_above(inside, falling, farther) - _share_above(inside, falling, nearer)
    slope = rise * n / (farther - nearer)
    records = np.empty(scores.shape)
    records[..., members] = found
    records[..., ~members] = -slope[..., None] * _taken(outside, limit, allowed)
    lost, won = _tied(inside, falling, allowed, reach)
    excess = max(0.0, (allowed + 1) / (n + 1) - fpr)
    return Influences(found.mean(axis=-1), records, members, slope * excess + lost, won, own_threshold=True)


def _share_above(inside: Floats, falling: Floats, rank: int) -> Floats:
    """Share of members above the non-member of a rank from 0; none is above rank -1."""
    if rank < 0:
        return np.zeros(inside.shape[:-1])
    share: Floats = (inside > falling[..., rank, None]).mean(axis=-1)
    return share


def _taken(outside: Floats, limit: Floats, allowed: int) -> Floats:
    """Which non-members (..., N) are above the limit; those that tie with it share what is left of the allowed."""
    above, ties = outside > limit, outside == limit
    left = allowed - above.sum(axis=-1, keepdims=True)
    taken: Floats = above + ties * (left / ties.sum(axis=-1, keepdims=True))
    return taken


def _tied(inside: Floats, falling: Floats, allowed: int, reach: int) -> tuple[Floats, Floats]:
    """The TPR in the last block of tied non-members above the limit, and in the block at the limit.

    Each is 0 where the block is one record, or where it is beyond reach: surely inside, or surely outside.
    """
    limit = falling[..., allowed, None]
    taken = (falling > limit).sum(axis=-1, keepdims=True)
    last = np.take_along_axis(falling, np.maximum(taken - 1, 0), axis=-1)  # the lowest non-member that is taken
    in_last = (falling == last).sum(axis=-1, keepdims=True)
    at_limit = (falling == limit).sum(axis=-1, keepdims=True)
    lost = ((inside > limit) & (inside <= last)).mean(axis=-1, keepdims=True)
    won = (inside == limit).mean(axis=-1, keepdims=True)
    open_last = (taken > 0) & (in_last > 1) & (taken > allowed - reach)
    open_limit = (at_limit > 1) & (taken + at_limit <= allowed + reach)
    return np.where(open_last, lost, 0)[..., 0], np.where(open_limit, won, 0)[..., 0]


def _exact(values: Floats, records: Floats, members: Booleans) -> Influences:
    """Of a number that is a mean: it estimates what it is."""
    return Influences(values, records, members, np.zeros_like(values), np.zeros_like(values))


def _checked(scores: ArrayLike, members: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    members = both_kinds(members)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim < 2 or 0 in scores.shape or scores.shape[-1] != len(members):
        raise ValueError(f"expected an array of shape (..., runs, {len(members)} records), got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return scores, members
