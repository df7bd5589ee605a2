"""What a store holds, and which experiments refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from miabench.errors import UserError
from miabench.results import index as indexes
from miabench.results import job_list
from miabench.results.index import Index
from miabench.results.job_list import JobList
from miabench.store.store import KEY, Artifact, Ref, Store

KINDS: tuple[Artifact, ...] = get_args(Artifact)
NAME = re.compile(r"[\w.@ -]+")  # of an experiment's file


@dataclass(frozen=True)
class Holder:
    """An experiment that was run with a store.

    Attributes:
        name: the experiment's and its hash.
        index: its results.
        jobs: all that it needs; None where an older version ran it.
    """

    name: str
    index: Index
    jobs: JobList | None

    @property
    def roots(self) -> set[Ref]:
        """The artifacts that it names itself."""
        named = {ref for entry in self.index.entries for ref in (entry.metrics, entry.records, entry.network) if ref}
        return named | {ref for job in (self.jobs.jobs if self.jobs else ()) for ref in job.gives}


class Holdings:
    """What a store held when it was looked at.

    Args:
        store: that is looked at.

    Attributes:
        holders: the experiments that were run with it, by name.

    Raises:
        UserError: an index or a list of jobs is damaged: whose things are, cannot be told.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.holders = {path.stem: _holder(path) for path in sorted((store.folder / indexes.FOLDER).glob("*.json"))}
        self._needs: dict[Ref, tuple[set[Ref], set[str]]] = {}

    @cached_property
    def artifacts(self) -> Mapping[Ref, int]:
        """Bytes of each artifact that is complete."""
        found = (Ref(kind, path.name) for kind in KINDS for path in _inside(self.store.folder / kind))
        return {ref: size_of(self.store.path(ref)) for ref in found if self.store.has(ref)}

    def of(self, names: Iterator[str] | set[str] | tuple[str, ...]) -> tuple[set[Ref], set[str]]:
        """All artifacts and lists of records that some experiments refer to, and what those are made from."""
        todo = {ref for name in names for ref in self.holders[name].roots}
        found: set[Ref] = set()
        lists: set[str] = set()
        while todo:
            ref = todo.pop()
            found.add(ref)
            needs, of_records = self._named_by(ref)
            lists |= of_records
            todo |= needs - found
        return found, lists

    def _named_by(self, ref: Ref) -> tuple[set[Ref], set[str]]:
        """What stands in an artifact's description: keys of 128 bits are nothing else by chance."""
        if ref not in self._needs:
            known = ref in self.artifacts
            keys = set(_keys(self.store.manifest(ref).spec)) if known else set()
            named = {Ref(kind, key) for kind in KINDS for key in keys} & self.artifacts.keys()
            self._needs[ref] = named, {key for key in keys if (self.store.folder / "ids" / f"{key}.npy").exists()}
        return self._needs[ref]

    def is_finished(self, name: str) -> bool:
        """Whether all that an experiment needs is stored."""
        return all(ref in self.artifacts for ref in self.holders[name].roots)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links are not followed."""
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(size_of(inner) for inner in path.iterdir())
    return path.stat().st_size if path.exists() else 0


def _holder(path: Path) -> Holder:
    listed = path.parents[1] / job_list.FOLDER / path.name
    return Holder(path.stem, Index.read(path), JobList.read(listed) if listed.exists() else None)


def _inside(folder: Path) -> list[Path]:
    """The artifacts' folders of one kind, by their names."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if KEY.fullmatch(path.name))


def _keys(value: Any) -> Iterator[str]:
    match value:
        case str() if KEY.fullmatch(value):
            yield value
        case Mapping():
            for inner in value.values():
                yield from _keys(inner)
        case list():
            for inner in value:
                yield from _keys(inner)


def named(holdings: Holdings, names: tuple[str, ...]) -> tuple[str, ...]:
    """Experiments as the user names them: in full, or all that begin so.

    Raises:
        UserError: there is none of that name.
    """
    found: list[str] = []
    for name in names:
        matching = [known for known in holdings.holders if known == name or known.rpartition("-")[0] == name]
        if not matching:
            raise UserError(
                f"the store {holdings.store.folder} has no experiment {name!r}; it has: "
                f"{', '.join(holdings.holders) or 'none'}"
            )
        found += matching
    return tuple(dict.fromkeys(found))
