"""`miabench store ls` and `du`: what is there, whose it is, and how much room it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from miabench.errors import indented
from miabench.results import index as indexes
from miabench.results.holdings import Holdings, Needed, size_of
from miabench.store.store import WEIGHTS, Store


@dataclass(frozen=True)
class HeldExperiment:
    """An experiment that was run with a store.

    Attributes:
        name: the experiment's and its hash.
        needed: artifacts that it needs.
        stored: how many of them are stored.
        size: bytes of these, and of what they are made from.
        alone: bytes of them that no other experiment refers to; None where another's files are damaged.
        changed: when it was last run.
        problems: what of it is damaged, each with what to do; what that refers to is in no number.
    """

    name: str
    needed: int
    stored: int
    size: int
    alone: int | None
    changed: datetime
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        alone = "" if self.alone is None else f" ({readable(self.alone)} of it alone)"
        line = (
            f"{self.name}  {self.stored}/{self.needed} stored, {readable(self.size)}{alone}, "
            f"run {self.changed:%Y-%m-%d %H:%M}"
        )
        return indented("\n".join([line, *self.problems]))


@dataclass(frozen=True)
class Room:
    """The room that one kind of thing takes in a store.

    Attributes:
        what: kind of artifact, or folder; `weights` are those within `networks`.
        count: how many there are.
        size: bytes.
    """

    what: str
    count: int
    size: int

    def __str__(self) -> str:
        return f"{self.what:<14} {self.count:>9,}  {readable(self.size):>10}"


def held_experiments(store: Store) -> Sequence[HeldExperiment]:
    """The experiments of a store, by name."""
    holdings = Holdings(store)
    needed = {name: holdings.of((name,)) for name in holdings.holders}
    return [_held(holdings, name, needed) for name in holdings.holders]


def _held(holdings: Holdings, name: str, needed: Mapping[str, Needed]) -> HeldExperiment:
    sizes, own = holdings.artifacts, needed[name].refs
    others = [found for other, found in needed.items() if other != name]
    known = not any(found.problems for found in others)
    alone = own.difference(*(found.refs for found in others))
    path = holdings.store.folder / indexes.FOLDER / f"{name}.json"
    return HeldExperiment(
        name=name,
        needed=len(own),
        stored=sum(ref in sizes for ref in own),
        size=sum(sizes.get(ref, 0) for ref in own),
        alone=sum(sizes.get(ref, 0) for ref in alone) if known else None,
        changed=datetime.fromtimestamp(path.lstat().st_mtime).astimezone(),
        problems=needed[name].problems,
    )


def rooms(store: Store) -> Sequence[Room]:
    """The room that a store takes, by kind; the last is all of it."""
    folders = sorted(path for path in store.folder.iterdir() if path.is_dir() and not path.is_symlink())
    each = [Room(path.name, sum(1 for _ in path.iterdir()), size_of(path)) for path in folders]
    weights = [path for path in store.folder.glob(f"networks/*/{WEIGHTS}") if not path.is_symlink()]
    within = [Room("weights", len(weights), sum(map(size_of, weights)))] if weights else []
    total = Room("all", sum(room.count for room in each), size_of(store.folder))
    return [*each, *within, total]


def readable(size: float) -> str:
    """Bytes in words."""
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if size >= one:
            return f"{size / one:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"
