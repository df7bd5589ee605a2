"""The files of a folder, a tar (any compression) or a zip, read in memory: nothing is ever extracted to disk.

What is damaged or cut off is an error, never other files or fewer, as far as the archive has checksums: gzip, bzip2
and xz have them of everything, zip of every file. A tar that is not compressed has them of its headers alone, so only
what reads a file from it, such as a decoder of images, can tell that the file is damaged.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self, TypeAlias

from miabench.errors import UserError

Wanted: TypeAlias = Callable[[str], bool]
END_MARK = bytes(tarfile.BLOCKSIZE)  # of a tar
# Openers by a file's first bytes: tarfile's own streams would not compare gzip's checksum.
COMPRESSED: Mapping[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,  # lzma, xz's elder
}
END_RECORD = b"PK\x05\x06"  # the first bytes of the last record of a zip
LONGEST_END = 22 + 0xFFFF  # its bytes with the longest comment
MANY = 0xFFFF  # what it says of more entries than two bytes can count; old tools: the two bytes that fit
REST = 2**20  # bytes read at once after a tar's end mark


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
        raise _damaged(path, error) from None
    except OSError as error:  # of a folder it may be one file that cannot be read
        if error.errno in (None, errno.EINVAL):  # from a decompressor; from going where a damaged record points
            raise _damaged(path, error) from None
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}") from None


def _damaged(path: Path, error: Exception) -> UserError:
    why = getattr(error, "strerror", None) or str(error) or "it ends too early"
    return UserError(f"{path} is no folder, tar or zip archive, or is damaged or cut off: {why}")


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
        members = archive.infolist()
        if _entries(path) not in (len(members) & MANY, MANY):
            raise zipfile.BadZipFile("its directory does not hold as many entries as it says")
        for member in members:
            if member.is_dir():
                continue
            with archive.open(member) as file:  # of unwanted files too: compares the name with the file's own header
                if wanted(member.filename):
                    yield member.filename, file.read()


def _entries(path: Path) -> int:
    """How many entries a zip's end record says there are: zipfile takes damaged ones for a comment on another."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_END))
        tail = file.read()
    start = tail.rindex(END_RECORD) + 10
    return int.from_bytes(tail[start : start + 2], "little")


def _tar(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    # As a stream: seeking back even one byte in a compressed file starts its decompression anew.
    with _decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r|*", tarinfo=_CompleteTar) as archive:
        for member in archive:
            if member.isdir() or not wanted(member.name):
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise UserError(f"{member.name} in {path} is a link or a special file; pack the files themselves")
            yield member.name, _read(file, member)
        while stream.read(REST):  # the checksum of the whole comes last
            pass


def _decompressed(path: Path) -> IO[bytes]:
    """A file's content, decompressed where its first bytes say so."""
    with path.open("rb") as file:
        start = file.read(max(map(len, COMPRESSED)))
    openers = [opener for mark, opener in COMPRESSED.items() if start.startswith(mark)]
    opened: IO[bytes] = (openers or [open])[0](path, "rb")
    return opened


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
