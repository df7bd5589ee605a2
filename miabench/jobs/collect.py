"""`miabench store gc`: removing what no kept experiment refers to; nothing that anybody works on or may need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from miabench.errors import UserError, indented
from miabench.files.atomic import is_leftover
from miabench.files.lock import LockedError, is_locked, lock
from miabench.jobs import notes
from miabench.jobs.specs import TrainingSpec
from miabench.results import index as indexes
from miabench.results import job_list
from miabench.results.holdings import KINDS, Holdings, Needed, named, size_of
from miabench.results.inventory import readable
from miabench.store.folder import refuse_link
from miabench.store.store import MANIFEST_FILE, Ref, Store

UNSURE = (
    "all that jobs made stays, as what is damaged here may refer to it; put it right, or leave the experiment out with "
    "--forget NAME"
)


@dataclass(frozen=True)
class Garbage:
    """One thing that no kept experiment refers to.

    Attributes:
        path: of the file or folder.
        size: bytes.
        job: key of the job that made it, whose lock is taken before it is removed; empty where there is none.
    """

    path: Path
    size: int
    job: str = ""


@dataclass(frozen=True)
class Collection:
    """What `gc` has found.

    Attributes:
        garbage: what it found.
        removed: what it has removed: nothing in a dry run.
        busy: what it left alone, as somebody works on it.
        problems: what is damaged of the kept experiments, each with what to do. What they refer to cannot be told, so
            none of what jobs made is garbage as long as there are any.
    """

    garbage: Sequence[Garbage]
    removed: Sequence[Garbage] = ()
    busy: Sequence[Garbage] = ()
    problems: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [f"{readable(one.size):>10}  {one.path}" for one in self.garbage]
        size = readable(sum(one.size for one in self.garbage))
        lines.append(f"{len(self.garbage):,} that no kept experiment refers to, {size}")
        if self.removed or self.busy:
            gone = readable(sum(one.size for one in self.removed))
            lines.append(f"removed {len(self.removed):,}, {gone}; {len(self.busy):,} are in use and stay")
        if self.problems:
            lines += [UNSURE, *self.problems]
        return "\n".join(map(indented, lines))


def collect(store: Store, forget: tuple[str, ...], remove: bool) -> Collection:
    """Find, and remove, what no kept experiment refers to.

    Args:
        store: that is cleaned.
        forget: experiments, by name, that are kept no longer.
        remove: whether it is removed; a dry run otherwise.

    Raises:
        UserError: no such experiment; a search is running, whose trials are in no index.
    """
    searches = [path for path in (store.folder / "locks").glob("tune-*.lock") if is_locked(path)]
    if searches:
        raise UserError(f"a search is running in the store {store.folder}: try again when it has ended")
    holdings = Holdings(store)
    forgotten = set(named(holdings, forget))
    needed = holdings.of(holdings.holders.keys() - forgotten)
    garbage = list(_garbage(holdings, forgotten, needed))
    if not remove:
        return Collection(garbage, problems=needed.problems)
    removed: list[Garbage] = []
    busy: list[Garbage] = []
    seen = _experiments(store)
    for one in garbage:
        if _experiments(store) - seen:
            raise UserError(f"an experiment was begun in the store {store.folder} meanwhile: try again")
        (removed if _remove(store, one) else busy).append(one)
    return Collection(garbage, removed, busy, needed.problems)


def _garbage(holdings: Holdings, forgotten: set[str], needed: Needed) -> Iterator[Garbage]:
    folder = holdings.store.folder
    for name in sorted(forgotten):
        yield from _all(folder / place / f"{name}.json" for place in (indexes.FOLDER, job_list.FOLDER))
    if not needed.problems:
        yield from _unneeded(holdings, holdings.holders.keys() - forgotten, needed)
    halves = (path for kind in KINDS for path in folder.glob(f"{kind}/[!.]*") if not (path / MANIFEST_FILE).exists())
    yield from _all(halves)  # of which an earlier removal was killed
    yield from _all(path for path in folder.glob("locks/*.lock") if not is_locked(path))
    yield from _all(path for path in folder.glob(f"{notes.FOLDER}/*.json") if not holdings.store.is_locked(path.stem))
    yield from _all(path for pattern in (".*", "*/.*") for path in folder.glob(pattern) if is_leftover(path))


def _unneeded(holdings: Holdings, kept: set[str], needed: Needed) -> Iterator[Garbage]:
    """What jobs made that no kept experiment refers to."""
    folder = holdings.store.folder
    for ref, size in holdings.artifacts.items():
        if ref not in needed.refs:
            yield Garbage(holdings.store.path(ref), size, _job_of(holdings.store, ref))
    if all(holdings.is_finished(name) for name in kept):  # else jobs to come may need any of these
        yield from _all(path for path in folder.glob("ids/*.npy") if path.stem not in needed.lists)
        for one in _all(folder.glob("checkpoints/*")):
            yield replace(one, job=one.path.name.partition("-")[0])
    jobs = {job.key for name in kept for job in _jobs(holdings, name)}
    yield from _all(path for path in folder.glob("failures/*.json") if path.stem not in jobs)


def _jobs(holdings: Holdings, name: str) -> Sequence[job_list.ListedJob]:
    listed = holdings.holders[name].jobs
    return listed.jobs if listed else ()


def _all(paths: Iterator[Path]) -> Iterator[Garbage]:
    return (Garbage(path, size_of(path)) for path in sorted(paths) if path.exists() and not path.parent.is_symlink())


def _job_of(store: Store, ref: Ref) -> str:
    """The key of the job that makes an artifact: a network's is that of its training."""
    if ref.kind != "networks":
        return ref.key
    try:
        return TrainingSpec.model_validate(store.manifest(ref).spec).key
    except (UserError, ValueError):  # damaged, or an older version's: no job of today makes it
        return ref.key


def _experiments(store: Store) -> set[tuple[str, int]]:
    """The indexes that are there, and when each was written."""
    return {(path.name, path.stat().st_mtime_ns) for path in (store.folder / indexes.FOLDER).glob("*.json")}


def _remove(store: Store, garbage: Garbage) -> bool:
    """Remove one thing; whether it could be, as nobody works on it."""
    path = garbage.path
    refuse_link(path.parent)
    try:
        if path.suffix == ".lock":
            with lock(path, wait=False):
                return True
        with store.lock(garbage.job or path.stem, wait=False):
            if path.is_dir() and not path.is_symlink():
                (path / MANIFEST_FILE).unlink(missing_ok=True)  # first: what is half removed is not complete
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            return True
    except LockedError:
        return False
