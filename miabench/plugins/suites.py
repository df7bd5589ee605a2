"""Named lists of attacks, versioned, so that "the worst case" means the same in two papers.

A list never changes: one that would gets a new version. Where no version is written, the newest is meant.
"""

from __future__ import annotations

from collections.abc import Mapping

_BLACK_BOX = (
    "gap",
    "confidence",
    "entropy",
    "m-entropy",
    "nn",
    "attack-p",
    "quantile",
    "lira",
    "rmia",
    "base",
    "attack-r",
    "calibrated",
    "privacy-risk-score",
)
_WHITE_BOX = (*_BLACK_BOX, "grad-x", "grad-w")
_ALL = (*_WHITE_BOX, "augmentation-agreement", "noise-agreement", "boundary", "loss")

SUITES: Mapping[str, tuple[str, ...]] = {
    "label-only@1": ("gap", "augmentation-agreement", "noise-agreement"),
    "black-box@1": _BLACK_BOX,
    "white-box@1": _WHITE_BOX,
    "all@1": _ALL,
    "all@2": (*_ALL, "samia", "adversarial-distance", "trajectory", "l-leaks"),
}
NEWEST: Mapping[str, str] = {"label-only": "@1", "black-box": "@1", "white-box": "@1", "all": "@2"}  # by bare name


def suite_name(name: str) -> str | None:
    """The suite that is meant, with its version; None where it is no suite's name.

    >>> suite_name("black-box"), suite_name("black-box@1"), suite_name("lira")
    ('black-box@1', 'black-box@1', None)
    """
    found = name + NEWEST.get(name, "")
    return found if found in SUITES else None
