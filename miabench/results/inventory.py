"""`miabench store ls` and `du`: what is there, whose it is, and how much room it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from miabench.results import index as indexes
from miabench.results.holdings import Holdings, size_of
from miabench.store.store import WEIGHTS, Ref, Store


@dataclass(frozen=True)
class HeldExperiment:
    """An experiment that was run with a store.

    Attributes:
        name: the experiment's and its hash.
        needed: artifacts that it needs.
        stored: how many of them are stored.
        size: bytes of these, and of what they are made from.
        alone: bytes of them that no other experiment refers to.
        changed: when it was last run.
    """

    name: str
    needed: int
    stored: int
    size: int
    alone: int
    changed: datetime

    def __str__(self) -> str:
        return (
            f"{self.name}  {self.stored}/{self.needed} stored, {readable(self.size)} "
            f"({readable(self.alone)} of it alone), run {self.changed:%Y-%m-%d %H:%M}"
        )


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
    """The experiments of a store, by name.

    Raises:
        UserError: an index or manifest is damaged.
    """
    holdings = Holdings(store)
    refs = {name: holdings.of((name,))[0] for name in holdings.holders}
    return [_held(holdings, name, refs) for name in holdings.holders]


def _held(holdings: Holdings, name: str, refs: Mapping[str, set[Ref]]) -> HeldExperiment:
    sizes, own = holdings.artifacts, refs[name]
    others = set().union(*(found for other, found in refs.items() if other != name))
    path = holdings.store.folder / indexes.FOLDER / f"{name}.json"
    return HeldExperiment(
        name=name,
        needed=len(own),
        stored=sum(ref in sizes for ref in own),
        size=sum(sizes.get(ref, 0) for ref in own),
        alone=sum(sizes.get(ref, 0) for ref in own - others),
        changed=datetime.fromtimestamp(path.stat().st_mtime).astimezone(),
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
