"""The files of a folder, a tar (any compression) or a zip, read in memory: nothing is ever extracted to disk.

What is damaged or cut off is an error, never other files or fewer, as far as the archive has checksums: gzip, bzip2
and xz have them of everything, zip of every file. A tar that is not compressed has them of its headers alone, so only
what reads a file from it, such as a decoder of images, can tell that the file is damaged.

Every file is read once: a link to a folder that is read already, or that holds this one, is refused by name, and so
are pipes and devices. No file may be larger than LARGEST_MEMBER, and nothing may unpack to more than `opened.bound`.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self, TypeAlias

from miabench.errors import UserError
from miabench.files.hashing import hash_of
from miabench.files.opened import check_zip, decompressed, head_of, opened

Wanted: TypeAlias = Callable[[str], bool]
END_MARK = bytes(tarfile.BLOCKSIZE)  # of a tar
END_RECORD = b"PK\x05\x06"  # the first bytes of the last record of a zip
LONGEST_END = 22 + 0xFFFF  # its bytes with the longest comment
MANY = 0xFFFF  # what it says of more entries than two bytes can count; old tools: the two bytes that fit
REST = 2**20  # bytes read at once after a tar's end mark
LARGEST_MEMBER = 2**29  # bytes of one file: more than any picture has


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
            return
        head_of(path)  # of what is no file, this says so
        yield from (_zip if zipfile.is_zipfile(path) else _tar)(path, wanted)
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
        with opened(path) as file:
            return hash_of(file)
    digest = hashlib.sha256()
    for name, content in contents(path, wanted):
        for part in (os.fsencode(name), content):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _folder(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    for file in sorted(_walk(path)):
        name = file.relative_to(path).as_posix()
        if wanted(name):
            with opened(file) as stream:
                if os.fstat(stream.fileno()).st_size > LARGEST_MEMBER:
                    raise _too_large(name, path)
                yield name, stream.read()


def _walk(path: Path) -> Iterator[Path]:
    """All that is no folder; links to folders are followed after all else, so that what is read twice is the link."""
    seen = {_identity(folder) for folder in path.resolve().parents}
    folders, links = [path], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        if _identity(folder) in seen:
            raise UserError(
                f"{folder} leads, by a link, to a folder that is read anyhow: {folder.resolve()}; remove it"
            )
        seen.add(_identity(folder))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                found = Path(entry.path)
                if found.is_dir():  # unlike the entry's own answer, no error of a link that leads to itself
                    (links if entry.is_symlink() else folders).append(found)
                else:
                    yield found


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _too_large(name: str, path: Path) -> UserError:
    return UserError(f"{name} in {path} is larger than {LARGEST_MEMBER / 2**20:.0f} MiB; that is no record of a pool")


def _zip(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if _entries(path) not in (len(members) & MANY, MANY):
            raise zipfile.BadZipFile("its directory does not hold as many entries as it says")
        check_zip(path, members)
        separator = "/" if any("/" in member.filename for member in members) else "\\"  # as Windows' own tools write
        for member in members:
            name = member.filename.replace(separator, "/")
            if name.endswith("/"):
                continue
            with archive.open(member) as file:  # of unwanted files too: compares the name with the file's own header
                if wanted(name):
                    _check_member(name, member, path)
                    yield name, file.read()


def _check_member(name: str, member: zipfile.ZipInfo, path: Path) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _not_regular(name, path)
    if member.file_size > LARGEST_MEMBER:
        raise _too_large(name, path)


def _not_regular(name: str, path: Path) -> UserError:
    return UserError(f"{name} in {path} is a link or a special file; pack the files themselves")


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
    with decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r|*", tarinfo=_CompleteTar) as archive:
        for member in archive:
            if member.isdir() or not wanted(member.name):
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise _not_regular(member.name, path)
            if member.size > LARGEST_MEMBER:
                raise _too_large(member.name, path)
            yield member.name, _read(file, member)
        while stream.read(REST):  # the checksum of the whole comes last
            pass


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
