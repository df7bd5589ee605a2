"""`miabench store export` and `import`: experiments with all that they need, in one file for another machine.

The file is a plain tar archive. What is imported is a stranger's: only names that a store has, only regular files, and
nothing is used before it is compared with its checksums.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.atomic import remove_leftovers, replace_file, replace_folder, temporary_folder
from miabench.files.opened import opened
from miabench.results import index as indexes
from miabench.results import job_list
from miabench.results.holdings import KINDS, Holdings, named
from miabench.results.index import Index
from miabench.results.job_list import JobList
from miabench.store.folder import FORMAT_FILE
from miabench.store.store import KEY, MANIFEST_FILE, REMOVED, WEIGHTS, Ref, Store

MEMBER = re.compile(
    rf"{re.escape(FORMAT_FILE)}|(?:{'|'.join(KINDS)})/{KEY.pattern}/\w[\w.-]*|ids/{KEY.pattern}\.npy|"
    rf"(?:{indexes.FOLDER}|{job_list.FOLDER})/[\w@ -][\w.@ -]*\.json"
)
MOST_MEMBERS = 10_000_000


@dataclass(frozen=True)
class Transfer:
    """What was exported or imported.

    Attributes:
        file: the archive.
        experiments: by name.
        artifacts: how many were written.
        present: how many the store had already.
    """

    file: Path
    experiments: tuple[str, ...]
    artifacts: int
    present: int = 0

    def __str__(self) -> str:
        had = f", {self.present:,} were there" if self.present else ""
        return f"{self.file}: {', '.join(self.experiments) or 'no experiment'}; {self.artifacts:,} artifacts{had}"


def export(store: Store, file: Path, experiments: tuple[str, ...]) -> Transfer:
    """Write experiments, and all that they refer to, into one file; each artifact is checked on the way.

    Args:
        store: that they are in.
        file: to write.
        experiments: by name; all of the store if empty.

    Raises:
        UserError: no such experiment; something of these is damaged.
        OSError: the file cannot be written.
    """
    holdings = Holdings(store)
    names = named(holdings, experiments) or tuple(holdings.holders)
    refs, lists, problems = holdings.of(names)
    if problems:
        raise UserError(*problems, *_others(holdings))
    stored = sorted(refs & holdings.artifacts.keys())
    remove_leftovers(file.absolute().parent)  # an export that was killed may have left one, of any size
    with replace_file(file.absolute()) as temporary, tarfile.open(temporary, "w") as archive:
        if (store.folder / FORMAT_FILE).exists():
            archive.add(store.folder / FORMAT_FILE, FORMAT_FILE)
        for ref in stored:
            store.check(ref)
            archive.add(store.path(ref), f"{ref.kind}/{ref.key}")
        for name in sorted(lists):
            store.ids(name)
            archive.add(store.folder / "ids" / f"{name}.npy", f"ids/{name}.npy")
        for name in names:  # last: what they refer to is there by then
            for folder in (job_list.FOLDER, indexes.FOLDER):
                path = store.folder / folder / f"{name}.json"
                if path.exists():
                    archive.add(path, f"{folder}/{name}.json")
    return Transfer(file, names, len(stored))


def _others(holdings: Holdings) -> Iterator[str]:
    """What can be exported although something is damaged, in words."""
    whole = [f"--only {shlex.quote(name)}" for name in holdings.holders if not holdings.of((name,)).problems]
    if whole:
        yield f"nothing is exported; what is whole is with: {' '.join(whole)}"


def import_(store: Store, file: Path) -> Transfer:
    """Put what another store exported into this one; what is there already stays.

    Args:
        store: to write to.
        file: that `export` wrote.

    Raises:
        UserError: the file is none of that kind, of a newer version, or damaged; nothing of it is then used that was
            not checked.
    """
    with temporary_folder(store.folder) as folder:
        _unpack(file, folder)
        try:
            other, refs, lists = _checked(folder)
        except UserError as error:
            said = str(error).replace(f"{folder}/", "").replace(str(folder), "in it").partition(";")[0]
            raise UserError(f"{file} cannot be imported: {said}; export it again") from None
        for rows in lists:
            store.put_ids(rows)
        added = [ref for ref in refs if not store.has_whole(ref) and not (store.has(ref) and other.lacks_weights(ref))]
        for ref in added:
            _take(other, store, ref)
        held = sorted(path.stem for path in folder.glob(f"{indexes.FOLDER}/*.json"))
        for place in (job_list.FOLDER, indexes.FOLDER):
            for path in folder.glob(f"{place}/*.json"):
                _take_file(path, store.room(place) / path.name)
    return Transfer(file, tuple(held), len(added), len(refs) - len(added))


def _checked(folder: Path) -> tuple[Store, list[Ref], list[NDArray[np.int64]]]:
    """What was unpacked, as a store: its artifacts and its lists of rows.

    Raises:
        UserError: something of it is damaged.
    """
    other = Store(folder, create=False)
    refs = [Ref(kind, path.name) for kind in KINDS for path in sorted(folder.glob(f"{kind}/*"))]
    for ref in refs:
        other.check(ref)
    for read, place in ((Index.read, indexes.FOLDER), (JobList.read, job_list.FOLDER)):
        for path in folder.glob(f"{place}/*.json"):
            read(path)
    return other, refs, [other.ids(path.stem) for path in folder.glob("ids/*.npy")]


def _take(other: Store, store: Store, ref: Ref) -> None:
    """Copy what was checked of an artifact, and nothing else."""
    files = {MANIFEST_FILE, *other.manifest(ref).files}
    if other.lacks_weights(ref):
        files = files - {WEIGHTS} | {REMOVED}
    with store.lock(ref.key):
        store.room(ref.kind)
        with replace_folder(store.path(ref)) as temporary:
            for name in sorted(files):
                shutil.copyfile(other.path(ref) / name, temporary / name)


def _take_file(path: Path, to: Path) -> None:
    if not to.exists():
        with replace_file(to) as temporary:
            shutil.copyfile(path, temporary)


def _unpack(file: Path, folder: Path) -> None:
    try:
        with opened(file) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in _members(file, archive):
                content = archive.extractfile(member)
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as to:
                    shutil.copyfileobj(content, to)  # type: ignore[arg-type]
    except (tarfile.TarError, EOFError, FileExistsError) as error:
        raise UserError(f"{file} is no export of a store, or damaged: {error}") from None
    except OSError as error:
        if error.errno is None:
            raise UserError(f"{file} is damaged or cut off: {error}") from None
        raise


def _members(file: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files of an archive, each of a name and kind that a store has."""
    for number, member in enumerate(archive):
        if member.isdir() and re.fullmatch(rf"(?:{'|'.join(KINDS)})/{KEY.pattern}", member.name):
            continue
        regular = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
        if not regular or not MEMBER.fullmatch(member.name) or number > MOST_MEMBERS:
            raise UserError(f"{file} is no export of a store: it holds {member.name!r}, {member.size:,} bytes")
        yield member
