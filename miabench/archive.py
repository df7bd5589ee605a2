"""The files of a folder, a tar (any compression) or a zip, read in memory: nothing is ever extracted to disk."""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self, TypeAlias

from miabench.errors import UserError

Wanted: TypeAlias = Callable[[str], bool]
END_MARK = bytes(tarfile.BLOCKSIZE)  # of a tar


def contents(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """Name and content of each wanted file, in the archive's own order, which is read once; a folder's by name.

    Args:
        path: of the folder or archive.
        wanted: tells from a file's name, its path inside with `/` between folders, whether it is read.

    Raises:
        UserError: missing, unreadable, damaged or cut-off archive; a wanted file that is a link inside a tar.
    """
    try:
        if path.is_dir():
            yield from _folder(path, wanted)
        elif zipfile.is_zipfile(path):
            yield from _zip(path, wanted)
        else:
            yield from _tar(path, wanted)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise UserError(f"{path} is no folder, tar or zip archive, or is damaged or cut off: {error}") from None
    except OSError as error:  # of a folder it may be one file that cannot be read
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}") from None


def content_hash(path: Path, wanted: Wanted) -> str:
    """SHA-256 of an archive's bytes; of every wanted file's name and content where it is a folder.

    Raises:
        UserError: as `contents`.
    """
    if not path.is_dir():
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    digest = hashlib.sha256()
    for name, content in contents(path, wanted):
        for part in (os.fsencode(name), content):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _folder(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    walk = os.walk(path, onerror=_refuse, followlinks=True)
    files = [Path(top, file) for top, _, files in walk for file in files]
    for file in sorted(files):
        name = file.relative_to(path).as_posix()
        if wanted(name):
            yield name, file.read_bytes()


def _refuse(error: OSError) -> None:
    """A folder that cannot be read: without this, its files would be missing from the data without a word."""
    raise error


def _zip(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir() and wanted(member.filename):
                yield member.filename, archive.read(member)


def _tar(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    # As a stream: seeking back even one byte in a compressed file starts its decompression anew.
    with tarfile.open(path, "r|*", tarinfo=_CompleteTar) as archive:
        for member in archive:
            if member.isdir() or not wanted(member.name):
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise UserError(f"{member.name} in {path} is a link or a special file; pack the files themselves")
            yield member.name, _read(file, member)


def _read(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    content = file.read()
    if len(content) != member.size:
        raise tarfile.ReadError(f"{member.name} is cut off")
    return content


class _CompleteTar(tarfile.TarInfo):
    """Makes an error of what tarfile takes for the end of an archive: a missing, partial or damaged header."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf == END_MARK:
                raise
            raise tarfile.ReadError(str(error)) from None
