"""Levels of access, weakest first, and which attacks each has: an attacker who sees more may use the weaker attacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

from miabench.plugins.attack import Access
from miabench.plugins.suites import SUITES, suite_name
from miabench.results.index import Index

NAMES: Mapping[Access, str] = {"label": "label-only", "black-box": "black-box", "white-box": "white-box"}


class Column(NamedTuple):
    """A worst case: of the attacks of a level of access, by one metric."""

    level: str
    metric: str


def levels(index: Index) -> Mapping[str, tuple[str, ...]]:
    """Labels of the attacks of each level that has an attack of its own, those of the weaker levels included.

    Indexes that were stored before they said what attacks see have one level of all attacks.
    """
    if not index.attacks:
        labels = dict.fromkeys(entry.attack for entry in index.entries if entry.attack)
        return {"all": tuple(labels)} if labels else {}
    found, order = {}, get_args(Access)
    for access in order:
        if any(attack.access == access for attack in index.attacks):
            weaker = order[: order.index(access) + 1]
            found[NAMES[access]] = tuple(attack.label for attack in index.attacks if attack.access in weaker)
    return found


def left_out(index: Index, level: str) -> tuple[str, ...]:
    """Attacks of the newest suite of a level's name that the experiment has in no form.

    A worst case means the same in two reports only where both have all of them.
    """
    asked = {attack.label.partition(" ")[0] for attack in index.attacks}
    suite = suite_name(level) if level in NAMES.values() else None
    return () if suite is None else tuple(name for name in SUITES[suite] if name not in asked)
