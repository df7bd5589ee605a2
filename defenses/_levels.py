"""Levels at which a relaxed loss never acts, or lets nothing be learnt; symbols as in `crl`."""

from __future__ import annotations

import math
from typing import NamedTuple

from miabench.defenses._planning import features_of

from miabench import Data, Model


class Level(NamedTuple):
    """A level alpha as a user sees it.

    Attributes:
        defense: its name.
        parameter: the field's name.
        alpha: its value; None where a default stands for it.
        tau: strength of the normalisation, and the name of its field; 0 and "" where there is none.
    """

    defense: str
    parameter: str
    alpha: float | None
    tau: float = 0.0
    tau_name: str = ""

    def at(self, alpha: float) -> str:
        """A value in words."""
        return f"{self.defense}: {self.parameter} = {alpha:g}"

    @property
    def normalised(self) -> str:
        """The normalisation in words."""
        return f"with {self.tau_name} = {self.tau:g} and " if self.tau_name else "with "

    def instead(self, value: float) -> str:
        """The words to type for another value."""
        return f"for example --set {self.defense}.{self.parameter}={float(f'{value:.2g}'):g}"


def cross_entropy_level(alpha: float | None, num_classes: int) -> float:
    """A given level, or 1 nat, and half of what guessing has where that is less: with 2 to 7 classes."""
    return min(1.0, math.log(num_classes) / 2) if alpha is None else alpha


def center_loss_level(alpha: float | None, floors: float, feature_dim: int, tau: float) -> float:
    """A given level, or a multiple of what `lowest_center_loss` says."""
    return floors * lowest_center_loss(feature_dim, tau) if alpha is None else alpha


def lowest_cross_entropy(num_classes: int, tau: float) -> float:
    """Infimum of L_lce: normalised logits have norm below 1 / tau."""
    if tau == 0:
        return 0.0
    gap = math.sqrt(num_classes / (num_classes - 1)) / tau
    return math.log1p((num_classes - 1) * math.exp(-gap))


def lowest_center_loss(feature_dim: int, tau: float) -> float:
    """About the lowest L_ct of features that are never negative, while centers are where they start, from N(0, I).

    A center's negative parts are out of reach: L_ct >= mean_c ||min(u(c, tau), 0)||^2 / 2, and half of ||c||^2, which
    is about D, is of negative parts.
    """
    return feature_dim / 4 / (1 + tau * math.sqrt(feature_dim)) ** 2


def cross_entropy_advice(level: Level, num_classes: int) -> list[str]:
    """Warns where the cross entropy never comes down to alpha, or starts below it: guessing has ln C."""
    alpha = cross_entropy_level(level.alpha, num_classes)
    floor, guessing = lowest_cross_entropy(num_classes, level.tau), math.log(num_classes)
    better = level.instead((floor + guessing) / 2)
    if floor and alpha <= floor:
        return [
            f"{level.at(alpha)} is at or below {floor:.2f}, the lowest value that L_lce can take {level.normalised}"
            f"{num_classes} classes: the CE part never relaxes. Raise {level.parameter} ({better}) or lower "
            f"{level.tau_name}"
        ]
    if alpha >= guessing:
        return [
            f"{level.at(alpha)} is at or above {guessing:.2f}, the cross entropy of guessing among {num_classes} "
            f"classes: nothing is learnt that does not go down again. Lower {level.parameter}, {better}"
        ]
    return []


def center_loss_advice(level: Level, floors: float, data: Data, model: Model) -> list[str]:
    """Warns where the center loss never comes down to alpha."""
    features = features_of(model, data)
    floor = lowest_center_loss(features.shape[1], level.tau)
    alpha = center_loss_level(level.alpha, floors, features.shape[1], level.tau)
    if alpha > floor or (features < 0).any():
        return []
    lower = f" or {level.tau_name}" if level.tau_name else ""
    return [
        f"{level.at(alpha)} is at or below {floor:.2g}, about the lowest value that L_ct can take {level.normalised}"
        f"{features.shape[1]} features that are never negative: the center part never relaxes. "
        f"Raise {level.parameter}{lower}, {level.instead(3 * floor)}"
    ]
