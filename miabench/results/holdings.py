"""What a store holds, and which experiments refer to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from miabench.errors import UserError
from miabench.results import index as indexes
from miabench.results import job_list
from miabench.results.index import Index
from miabench.results.job_list import JobList
from miabench.store.store import KEY, Artifact, Ref, Store

KINDS: tuple[Artifact, ...] = get_args(Artifact)
A = TypeVar("A")
T = TypeVar("T")
NAME = re.compile(r"[\w.@ -]+")  # of an experiment's file


@dataclass(frozen=True)
class Holder:
    """An experiment that was run with a store.

    Attributes:
        name: the experiment's and its hash.
        index: its results; None where the file that says them is damaged.
        jobs: all that it needs; None where an older version ran it, or the file is damaged.
        problems: which of these files are damaged, each with what to do.
    """

    name: str
    index: Index | None
    jobs: JobList | None
    problems: tuple[str, ...] = ()

    @property
    def roots(self) -> set[Ref]:
        """The artifacts that it names itself."""
        entries = self.index.entries if self.index else ()
        named = {ref for entry in entries for ref in (entry.metrics, entry.records, entry.network) if ref}
        return named | {ref for job in (self.jobs.jobs if self.jobs else ()) for ref in job.gives}


class Needed(NamedTuple):
    """What some experiments refer to, and what that is made from.

    Attributes:
        refs: artifacts, stored or not.
        lists: of records, by name.
        problems: what is damaged, each with what to do: what else it refers to cannot be told.
    """

    refs: set[Ref]
    lists: set[str]
    problems: tuple[str, ...]


class Holdings:
    """What a store held when it was looked at.

    Args:
        store: that is looked at.

    Attributes:
        holders: the experiments that were run with it, by name.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.holders = {path.stem: _holder(path) for path in sorted((store.folder / indexes.FOLDER).glob("*.json"))}
        self._needs: dict[Ref, Needed] = {}

    @cached_property
    def artifacts(self) -> Mapping[Ref, int]:
        """Bytes of each artifact that is complete."""
        found = (Ref(kind, path.name) for kind in KINDS for path in _inside(self.store.folder / kind))
        return {ref: size_of(self.store.path(ref)) for ref in found if self.store.has(ref)}

    def of(self, names: Collection[str]) -> Needed:
        """All that some experiments refer to, and what it is made from, as far as it can be told."""
        todo = {ref for name in names for ref in self.holders[name].roots}
        found = Needed(set(), set(), ())
        problems = [problem for name in sorted(names) for problem in self.holders[name].problems]
        while todo:
            ref = todo.pop()
            found.refs.add(ref)
            named = self._named_by(ref)
            found.lists.update(named.lists)
            problems += named.problems
            todo |= named.refs - found.refs
        return found._replace(problems=tuple(problems))

    def _named_by(self, ref: Ref) -> Needed:
        """What stands in an artifact's description: keys of 128 bits are nothing else by chance."""
        if ref not in self._needs:
            manifest, problems = _read(self.store.manifest, ref) if ref in self.artifacts else (None, ())
            keys = set(_keys(manifest.spec)) if manifest else set()
            named = {Ref(kind, key) for kind in KINDS for key in keys} & self.artifacts.keys()
            lists = {key for key in keys if (self.store.folder / "ids" / f"{key}.npy").exists()}
            self._needs[ref] = Needed(named, lists, problems)
        return self._needs[ref]

    def is_finished(self, name: str) -> bool:
        """Whether all that an experiment needs is stored, as far as it can be told."""
        holder = self.holders[name]
        return not holder.problems and all(ref in self.artifacts for ref in holder.roots)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links are not followed, what goes meanwhile has none."""
    if path.is_symlink():
        return 0
    with suppress(FileNotFoundError):
        return sum(map(size_of, path.iterdir())) if path.is_dir() else path.stat().st_size
    return 0


def _holder(path: Path) -> Holder:
    listed = path.parents[1] / job_list.FOLDER / path.name
    index, problems = _read(Index.read, path)
    jobs, more = _read(JobList.read, listed) if listed.exists() else (None, ())
    return Holder(path.stem, index, jobs, (*problems, *more))


def _read(read: Callable[[A], T], what: A) -> tuple[T | None, tuple[str, ...]]:
    """What is read; where it is damaged None, and what is to be done."""
    try:
        return read(what), ()
    except UserError as error:
        return None, tuple(error.problems)


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
