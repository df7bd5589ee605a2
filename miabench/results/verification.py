"""`miabench store verify`: everything that a store holds is read and compared with its checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from miabench.errors import UserError, indented
from miabench.files.atomic import TEMPORARY
from miabench.results import index as indexes
from miabench.results import job_list
from miabench.results.holdings import KINDS
from miabench.results.index import Index
from miabench.results.job_list import JobList
from miabench.store.failures import read_failure
from miabench.store.folder import FORMAT_FILE, check_format
from miabench.store.journals import JOURNAL, whole_part
from miabench.store.store import KEY, MANIFEST_FILE, REMOVED, Artifact, Ref, Store


@dataclass(frozen=True)
class Verification:
    """What reading a whole store has found.

    Attributes:
        read: how many files and folders of one thing were read.
        problems: what is not as it was written, each with what to do.
    """

    read: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*map(indented, self.problems), f"{self.read:,} read, {len(self.problems)} damaged"])


def verify(store: Store) -> Verification:
    """Read all that a store holds."""
    read = 0
    problems: list[str] = []
    for check in _checks(store):
        read += 1
        try:
            check()
        except UserError as error:
            problems += error.problems
    return Verification(read, tuple(problems))


def _checks(store: Store) -> Iterator[Callable[[], object]]:
    """What raises a `UserError` where something is damaged, for each thing in a store."""
    rooms: Mapping[str, Callable[[Path], object]] = {
        **{kind: partial(_check_artifact, store, kind) for kind in KINDS},
        "ids": lambda path: store.ids(path.stem),
        "failures": read_failure,
        indexes.FOLDER: Index.read,
        job_list.FOLDER: JobList.read,
        "tuning": _check_search,
        "checkpoints": _check_checkpoint,
        "locks": lambda path: None,  # empty
        "running": lambda path: None,  # notes, renewed all the time; one that cannot be read is passed over
    }
    for path in sorted(store.folder.iterdir()):
        if path.name == FORMAT_FILE:
            yield partial(check_format, store.folder)
        elif path.name in rooms and path.is_dir():
            for inner in sorted(path.iterdir()):
                if not TEMPORARY.fullmatch(inner.name):
                    yield partial(rooms[path.name], inner)
        elif not TEMPORARY.fullmatch(path.name):
            yield partial(_refuse, path)


def _check_artifact(store: Store, kind: Artifact, path: Path) -> None:
    if not KEY.fullmatch(path.name):
        _refuse(path)
    manifest = store.check(Ref(kind, path.name))
    for file in path.iterdir():
        if file.name not in (*manifest.files, MANIFEST_FILE, REMOVED):
            _refuse(file)


def _check_search(path: Path) -> None:
    whole_part(path / JOURNAL)


def _check_checkpoint(path: Path) -> None:
    from miabench.training.checkpoint import Checkpoint  # torch

    Checkpoint(path).read()


def _refuse(path: Path) -> None:
    raise UserError(f"{path} is none of the store's: nothing reads it; it may be removed")
