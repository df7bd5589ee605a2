"""The store: a folder that holds every trained network and everything computed from it, addressed by content.

    <store>/format.json          the version of all this
    <store>/<kind>/<key>/        one artifact: its files, and manifest.json with their checksums, written last
    <store>/ids/<sha256>.npy     lists of pool rows that trainings refer to
    <store>/checkpoints/<key>-*/ state of an unfinished training, by its job
    <store>/failures/<key>.json  why a job failed last time
    <store>/experiments/         the resolved experiments that were run here
    <store>/tuning/<key>/        the trials of a search
    <store>/running/<key>.json   how far a running job is
    <store>/locks/<key>.lock     held by whoever works on a job, and removed then

Nothing is unpickled: weights are safetensors, arrays npz, metadata JSON. What is damaged is refused by name.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import StringConstraints, TypeAdapter

from miabench.errors import UserError
from miabench.files.atomic import replace_file, replace_folder, write_file
from miabench.files.checksum import Stamp, checksum, is_settled, stamp_of
from miabench.files.json import parse_json, read_json, sealed
from miabench.files.lock import is_locked, lock
from miabench.files.npz import read_npz
from miabench.files.paths import expanded
from miabench.store.failures import Failure, read_failure
from miabench.store.folder import open_folder, refuse_link, room
from miabench.store.lists import name_of, rows_in
from miabench.store.manifest import MANIFEST, Manifest

Artifact: TypeAlias = Literal["networks", "observations", "scores", "metrics"]
KEY_LENGTH = 32  # hexadecimal digits: 128 bits
KEY = re.compile(f"[0-9a-f]{{{KEY_LENGTH}}}")
Key: TypeAlias = Annotated[str, StringConstraints(pattern=f"^{KEY.pattern}$")]

MANIFEST_FILE = "manifest.json"
ARRAYS = "arrays.npz"
WEIGHTS = "weights.safetensors"
MOST_MANIFESTS = 20_000  # that are kept in memory, which takes some 6 KB each
REMOVED = "weights.removed"  # stands for the weights of a network that was not to keep them

T = TypeVar("T")


class Ref(NamedTuple):
    """The address of one artifact."""

    kind: Artifact
    key: Key


def digest(content: Any) -> str:
    """The key of JSON content: the same for equal content, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


class Artifacts:
    """Reads and writes artifacts below one folder.

    An artifact is checked in full, every file against its checksum, when it is first opened, and again when a file has
    another size, time or inode than then. Whoever keeps what comes of them learns from `on_asked` what is asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on_asked: Callable[[Ref], object] = lambda ref: None
        self._manifests: dict[Ref, tuple[Stamp, Manifest]] = {}  # that were read, and how they looked then
        self._whole: dict[Ref, tuple[Stamp | None, ...]] = {}  # how all files looked when an artifact was checked

    def path(self, ref: Ref) -> Path:
        """The folder of an artifact, which may not exist."""
        return Path(self._text(ref))

    def has(self, ref: Ref) -> bool:
        """Whether an artifact is complete; a network's weights may have been removed since."""
        self.on_asked(ref)
        return stamp_of(self._text(ref, MANIFEST_FILE)) is not None

    def has_all(self, refs: Iterable[Ref]) -> bool:
        """Whether several artifacts are complete."""
        return all(self.has(ref) for ref in refs)

    def lacks_weights(self, ref: Ref) -> bool:
        """Whether a network is known and its weights were removed."""
        return ref.kind == "networks" and self._within(ref, REMOVED).exists()

    def has_whole(self, ref: Ref) -> bool:
        """Whether an artifact is complete, and a network has its weights."""
        return self.has(ref) and not self.lacks_weights(ref)

    @contextmanager
    def write(self, ref: Ref, about: Mapping[str, Any]) -> Iterator[Path]:
        """Write an artifact's files into the given folder; the manifest with `about` completes it."""
        if self.has_whole(ref):
            raise FileExistsError(f"{self.path(ref)} is already complete")
        room(self.folder, ref.kind)
        refuse_link(self.path(ref))
        with replace_folder(self.path(ref)) as folder:
            yield folder
            files = {file.name: checksum(file) for file in sorted(folder.iterdir())}
            manifest = Manifest(kind=ref.kind, key=ref.key, files=files, made=datetime.now(UTC).date(), **about)
            write_file(folder / MANIFEST_FILE, sealed(manifest.model_dump_json(indent=1, exclude_unset=True).encode()))

    def manifest(self, ref: Ref) -> Manifest:
        """What is known about an artifact: its spec, environment, times, checksums.

        Raises:
            UserError: it is not what was written, or another artifact's.
        """
        self.on_asked(ref)
        stamp = stamp_of(self._text(ref, MANIFEST_FILE))
        if ref in self._manifests and self._manifests[ref][0] == stamp:
            return self._manifests[ref][1]
        path = self._within(ref, MANIFEST_FILE)
        manifest = read_json(path, MANIFEST, self._remedy(ref))
        if (manifest.kind, manifest.key) != ref:
            raise UserError(f"{path} is that of {manifest.kind}/{manifest.key}; {self._remedy(ref)}")
        if stamp and len(self._manifests) < MOST_MANIFESTS and is_settled([stamp]):
            self._manifests[ref] = stamp, manifest
        return manifest

    def file(self, ref: Ref, name: str) -> Path:
        """A file of an artifact that is whole.

        Raises:
            UserError: the artifact is not what was written.
        """
        path = self._within(ref, name)
        if name not in self.check(ref).files:
            raise UserError(f"{path} is damaged; {self._remedy(ref)}")
        if name == WEIGHTS and self.lacks_weights(ref):
            raise UserError(f"the weights {path} were removed; run again: they are trained anew")
        return path

    def json(self, ref: Ref, name: str, form: TypeAdapter[T]) -> T:
        """The content of a JSON file of an artifact that is whole.

        Raises:
            UserError: the artifact is not what was written.
        """
        path = self.file(ref, name)
        return parse_json(path.read_bytes(), form, path, self._remedy(ref))

    def damaged(self, ref: Ref, name: str, why: str) -> UserError:
        """The refusal of a file whose content cannot be what was written."""
        return UserError(f"{self._within(ref, name)} is damaged ({why}); {self._remedy(ref)}")

    def arrays(self, ref: Ref, *names: str, rows: int | None = None, mapped: bool = False) -> dict[str, NDArray[Any]]:
        """The arrays of an artifact that is whole, by name: those named, or all.

        Args:
            ref: of the artifact.
            names: of the arrays.
            rows: how many each must have, where that is known: a file of more is not read.
            mapped: leave them in the file, for readers of some rows: see `read_npz`.

        Raises:
            UserError: the artifact is not what was written.
        """
        path = self.file(ref, ARRAYS)
        try:
            return read_npz(path, *names, rows=rows, mapped=mapped)
        except UserError as error:
            raise UserError(f"{error}; {self._remedy(ref)}") from None

    def check(self, ref: Ref) -> Manifest:
        """The manifest of an artifact, all of whose files are what was written.

        Raises:
            UserError: one is not.
        """
        manifest = self.manifest(ref)
        stamps = self._stamps(ref, manifest)
        if self._whole.get(ref) == stamps:
            return manifest
        for (name, written), stamp in zip(manifest.files.items(), stamps[1:], strict=True):
            path = self._within(ref, name)
            if (stamp is None or checksum(path) != written) and not (name == WEIGHTS and self.lacks_weights(ref)):
                raise UserError(f"{path} is damaged; {self._remedy(ref)}")
        if is_settled(stamps):
            self._whole[ref] = stamps
        return manifest

    def _stamps(self, ref: Ref, manifest: Manifest) -> tuple[Stamp | None, ...]:
        """How an artifact's files look from outside."""
        return tuple(stamp_of(self._text(ref, name)) for name in (MANIFEST_FILE, *manifest.files))

    def _within(self, ref: Ref, name: str) -> Path:
        """A path in an artifact's folder."""
        return Path(self._text(ref, name))

    def _text(self, ref: Ref, *name: str) -> str:
        """The same as text: a report asks whether a hundred thousand files are there, and paths are dear."""
        if not KEY.fullmatch(ref.key):
            raise UserError(f"{ref.key!r} is no key: those have {KEY_LENGTH} hexadecimal digits")
        return "/".join((str(self.folder), ref.kind, ref.key, *name))

    def _remedy(self, ref: Ref) -> str:
        return f"remove the folder {self._text(ref)} and run again: it is made anew"


class Store(Artifacts):
    """Artifacts, and the lists, locks, failures and checkpoints beside them.

    Args:
        folder: of the store.
        create: whether it is made where there is none, and must be writable; otherwise it is only read.

    Raises:
        UserError: the folder cannot be made or written, or is a newer version's; there is none.
    """

    def __init__(self, folder: str | Path, create: bool = True) -> None:
        super().__init__(expanded(folder).resolve())
        self._whole_lists: set[str] = set()
        open_folder(self.folder, create)

    def room(self, *names: str) -> Path:
        """A folder of the store to write in; made if need be.

        Raises:
            UserError: it is a link.
        """
        return room(self.folder, *names)

    def put_ids(self, ids: NDArray[np.int64]) -> str:
        """Keep a list of pool rows; its name is the hash of its content. A list that was damaged is made anew."""
        content = np.ascontiguousarray(ids, dtype="<i8")
        name = name_of(content.tobytes())
        if name not in self._whole_lists:
            path = self._list(name)
            if rows_in(path) != content.tobytes():
                file = io.BytesIO()
                np.save(file, content)
                self.room("ids")
                with replace_file(path) as temporary:
                    write_file(temporary, file.getvalue())
            self._whole_lists.add(name)
        return name

    def ids(self, name: str) -> NDArray[np.int64]:
        """A list of pool rows kept by `put_ids`.

        Raises:
            UserError: the file is not what was written.
        """
        content = rows_in(self._list(name))
        if name_of(content) != name:
            raise UserError(f"{self._list(name)} is missing or damaged; run again: it is made anew")
        return np.frombuffer(content, dtype="<i8").astype(np.int64)

    def _list(self, name: str) -> Path:
        if not KEY.fullmatch(name):
            raise UserError(f"{name!r} is no name of a list: those have {KEY_LENGTH} hexadecimal digits")
        return self.folder / "ids" / f"{name}.npy"

    def lock(self, key: str, wait: bool = True) -> AbstractContextManager[None]:
        """Held by whoever works on a job, so that two processes on one store never do the same work twice.

        Raises:
            LockedError: another holds it, and `wait` is false.
        """
        return lock(self.room("locks") / f"{key}.lock", wait)

    def is_locked(self, key: str) -> bool:
        """Whether somebody works on a job; nothing is written."""
        return is_locked(self.folder / "locks" / f"{key}.lock")

    def set_failure(self, key: str, why: str | None) -> None:
        """Remember why a job failed; None forgets it."""
        path = self.room("failures") / f"{key}.json"
        if why is None:
            path.unlink(missing_ok=True)
        else:
            with replace_file(path) as temporary:  # a full disk must not leave half of a reason
                write_file(temporary, sealed(Failure(why=why, key=key).model_dump_json().encode()))

    def failure(self, key: str) -> str | None:
        """Why a job failed last time, or None; where the file that says it is damaged, that."""
        path = self.folder / "failures" / f"{key}.json"
        if not path.exists():
            return None
        try:
            return read_failure(path).why
        except UserError as error:
            return str(error)
