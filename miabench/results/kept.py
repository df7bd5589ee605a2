"""A memory of bounded size for what is read of a store several times by one report."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from miabench.evaluation.scores import TargetValues

MOST = 2**28  # bytes


class Kept:
    """Numbers of records by run, of so many bytes at most: what came first stays, the rest is read anew.

    A report goes through all lines several times in the same order. To throw out what was used longest ago would then
    throw out everything before it is asked for again.
    """

    def __init__(self, most: int = MOST) -> None:
        self._room = most
        self._held: dict[Hashable, Mapping[int, TargetValues]] = {}

    def get(self, key: Hashable, read: Callable[[], Mapping[int, TargetValues]]) -> Mapping[int, TargetValues]:
        """What is kept under a key; read, and kept if there is room, where there is nothing."""
        if key in self._held:
            return self._held[key]
        found = read()
        size = sum(array.nbytes for one in found.values() for array in (one.values, one.members, one.labels, one.rows))
        if size <= self._room:
            self._room -= size
            self._held[key] = found
        return found
