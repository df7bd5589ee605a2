"""The store: a folder that holds every trained network and everything computed from it, addressed by content.

    <store>/<kind>/<key>/        one artifact: its files, and manifest.json with their checksums, written last
    <store>/ids/<sha256>.npy     lists of pool rows that trainings refer to
    <store>/checkpoints/<key>/   state of an unfinished training
    <store>/failures/<key>.json  why a job failed last time
    <store>/experiments/         the resolved experiments that were run here

Nothing is unpickled: weights are safetensors, arrays npz, metadata JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import TypeAdapter

from miabench.errors import MissingStepError, UserError
from miabench.files.atomic import remove_leftovers, replace_file, replace_folder, write_file
from miabench.files.hashing import hash_of
from miabench.files.json import parse_json, read_json
from miabench.files.paths import expanded
from miabench.store.manifest import MANIFEST, Manifest

Artifact: TypeAlias = Literal["networks", "observations", "scores", "metrics"]
KEY_LENGTH = 32  # hexadecimal digits: 128 bits
FAILURE = TypeAdapter(dict[Literal["why"], str])

T = TypeVar("T")


class Ref(NamedTuple):
    """The address of one artifact."""

    kind: Artifact
    key: str


def digest(content: Any) -> str:
    """The key of JSON content: the same for equal content, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def data_folder(root: str | Path | None) -> Path:
    """Where downloads and decoded copies go: the given folder, else the platform's cache folder; made if need be."""
    from platformdirs import user_cache_path

    folder = user_cache_path("miabench") if root is None else expanded(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the data folder {folder}: {error.strerror}; choose another with --data-root"
        ) from None
    return folder


class Store:
    """Reads and writes artifacts below one folder.

    Args:
        folder: of the store.
        create: whether it is made where there is none, and must be writable; otherwise it is only read.

    Raises:
        UserError: the folder cannot be made or written; there is none.
    """

    def __init__(self, folder: str | Path, create: bool = True) -> None:
        self.folder = expanded(folder).resolve()
        self._whole_lists: set[str] = set()
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"the store {self.folder} is a file; choose a folder with --store")
        if not create:
            if not self.folder.exists():
                raise MissingStepError(f"there is no store {self.folder}; choose another with --store, or", "run")
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the store {self.folder}: {error.strerror}; choose another with --store"
            ) from None
        if not os.access(self.folder, os.W_OK):
            raise UserError(f"cannot write to the store {self.folder}; choose another with --store")
        remove_leftovers(self.folder)

    def path(self, ref: Ref) -> Path:
        """The folder of an artifact, which may not exist."""
        return self.folder / ref.kind / ref.key

    def has(self, ref: Ref) -> bool:
        """Whether an artifact is complete."""
        return self._within(ref, "manifest.json").exists()

    def has_all(self, refs: Iterable[Ref]) -> bool:
        """Whether several artifacts are complete."""
        return all(self.has(ref) for ref in refs)

    def finished_at(self, ref: Ref) -> float:
        """When a complete artifact was; seconds since 1970."""
        return self._within(ref, "manifest.json").stat().st_mtime

    @contextmanager
    def write(self, ref: Ref, about: Mapping[str, Any]) -> Iterator[Path]:
        """Write an artifact's files into the given folder; the manifest with `about` completes it."""
        if self.has(ref):
            raise FileExistsError(f"{self.path(ref)} is already complete")
        with replace_folder(self.path(ref)) as folder:
            yield folder
            files = {file.name: _checksum(file) for file in sorted(folder.iterdir())}
            manifest = Manifest(kind=ref.kind, key=ref.key, files=files, **about)
            write_file(folder / "manifest.json", manifest.model_dump_json(indent=1, exclude_unset=True).encode())

    def manifest(self, ref: Ref) -> Manifest:
        """What is known about an artifact: its spec, environment, times, checksums.

        Raises:
            UserError: it is not what was written.
        """
        return read_json(self._within(ref, "manifest.json"), MANIFEST, self._remedy(ref))

    def file(self, ref: Ref, name: str) -> Path:
        """A file of an artifact, its checksum verified.

        Raises:
            UserError: the file is not what was written.
        """
        path = self._within(ref, name)
        self._verify(ref, name, _checksum(path) if path.exists() else None)
        return path

    def json(self, ref: Ref, name: str, form: TypeAdapter[T]) -> T:
        """The content of a JSON file of an artifact, its checksum verified.

        Raises:
            UserError: the file is not what was written.
        """
        path = self._within(ref, name)
        content = path.read_bytes() if path.exists() else b""
        self._verify(ref, name, hashlib.sha256(content).hexdigest())
        return parse_json(content, form, path, self._remedy(ref))

    def arrays(self, ref: Ref, *names: str) -> dict[str, NDArray[Any]]:
        """The arrays of an artifact, by name: those named, or all.

        Raises:
            UserError: the file is not what was written.
        """
        with np.load(self.file(ref, "arrays.npz"), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names or arrays.files}

    def _within(self, ref: Ref, name: str) -> Path:
        """A path in an artifact's folder, put together at once: a report asks for a hundred thousand."""
        return Path(f"{self.folder}/{ref.kind}/{ref.key}/{name}")

    def _verify(self, ref: Ref, name: str, checksum: str | None) -> None:
        if checksum != self.manifest(ref).files.get(name):
            raise UserError(f"{self.path(ref) / name} is damaged; {self._remedy(ref)}")

    def _remedy(self, ref: Ref) -> str:
        return f"remove the folder {self.path(ref)} and run again: it is made anew"

    def put_ids(self, ids: NDArray[np.int64]) -> str:
        """Keep a list of pool rows; its name is the hash of its content. A list that was damaged is made anew."""
        content = np.ascontiguousarray(ids, dtype="<i8")
        name = _name_of_list(content.tobytes())
        if name not in self._whole_lists:
            path = self._list(name)
            if _list_in(path) != content.tobytes():
                file = io.BytesIO()
                np.save(file, content)
                with replace_file(path) as temporary:
                    write_file(temporary, file.getvalue())
            self._whole_lists.add(name)
        return name

    def ids(self, name: str) -> NDArray[np.int64]:
        """A list of pool rows kept by `put_ids`.

        Raises:
            UserError: the file is not what was written.
        """
        content = _list_in(self._list(name))
        if _name_of_list(content) != name:
            raise UserError(f"{self._list(name)} is missing or damaged; run again: it is made anew")
        return np.frombuffer(content, dtype="<i8").astype(np.int64)

    def _list(self, name: str) -> Path:
        return self.folder / "ids" / f"{name}.npy"

    def lock(self, key: str) -> FileLock:
        """Held by whoever works on a job, so that two processes on one store never do the same work twice."""
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{key}.lock")

    def is_locked(self, key: str) -> bool:
        """Whether someone works on a job now. Makes no file; where locks may not be touched, nobody can be told."""
        path = self.folder / "locks" / f"{key}.lock"
        if not path.exists():
            return False
        try:
            with FileLock(path).acquire(blocking=False):
                return False
        except Timeout:
            return True
        except OSError:
            return False

    def set_failure(self, key: str, why: str | None) -> None:
        """Remember why a job failed; None forgets it."""
        path = self.folder / "failures" / f"{key}.json"
        if why is None:
            path.unlink(missing_ok=True)
        else:
            with replace_file(path) as temporary:  # a full disk must not leave half of a reason
                write_file(temporary, json.dumps({"why": why}).encode())

    def failure(self, key: str) -> str | None:
        """Why a job failed last time, or None."""
        path = self.folder / "failures" / f"{key}.json"
        return (
            read_json(path, FAILURE, f"remove it: {path.name} only says why a job failed")["why"]
            if path.exists()
            else None
        )


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hash_of(file)


def _name_of_list(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:KEY_LENGTH]


def _list_in(path: Path) -> bytes:
    """The rows in a list's file as they are, without NumPy's header, which nothing protects; empty if there is none."""
    try:
        content = path.read_bytes()
    except OSError:
        return b""
    return content[10 + int.from_bytes(content[8:10], "little") :]
