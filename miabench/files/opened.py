"""The door for strangers' files: what a file is, is told from its first bytes, never from its name.

Only regular files are opened: a pipe or a device would hang or never end. What is compressed (gzip, bzip2, xz, or a
zip of one file) is read through, and may not unpack to more than `bound` says: a few megabytes of zeros can hold
gigabytes. A format that is not read here is named, with what to do.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from miabench.errors import UserError
from miabench.files.paths import is_litter

ZIP = b"PK\x03\x04"
# Openers by a file's first bytes: tarfile's own streams would not compare gzip's checksum.
COMPRESSED: Mapping[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,  # lzma, xz's elder
}
BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)

SMALL_ENOUGH = 2**30  # bytes that anything may unpack to
MOST_UNPACKED = 100  # times its own size that a larger file may unpack to; tables of zeros and ones reach about 50
MOST_DEFLATED = 1032  # bytes that one byte can become (zlib's own figure)
LONGEST_LINE = 2**26  # characters of a line of text
LARGEST_TEXT = 2**31  # bytes of text in all
HEAD = 512  # bytes that tell a format
TAR_MARK = 257  # byte at which a tar archive says that it is one

EXCEL = "save the sheet as CSV UTF-8"
CSV = "save it as CSV (UTF-8), or its arrays as npz"
# What is not read, by how it begins: its name in words and what to do.
FORMATS: Mapping[bytes, tuple[str, str]] = {
    b"PAR1": ("a Parquet file", CSV),
    b"ARROW1": ("an Arrow file (Feather)", "save it as Parquet or CSV"),
    b"FEA1": ("an Arrow file (Feather)", "save it as Parquet or CSV"),
    b"ORC": ("an ORC file", "save it as Parquet or CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls)", EXCEL),
    b"\x93NUMPY": ("an .npy file of one array", "save arrays by name, with numpy.savez"),
    b"\x89HDF": ("an HDF5 file", CSV),
    b"MATLAB 5.0": ("a MATLAB file", CSV),
    b"SQLite format 3": ("a SQLite database", "export the table as CSV"),
    b"RDX": ("an R data file", "write.csv(..., row.names = FALSE)"),
    b"RDA": ("an R data file", "write.csv(..., row.names = FALSE)"),
    b"%PDF": ("a PDF document", CSV),
    b"\x89PNG": ("a picture", "the dataset `images` reads pictures"),
    b"\xff\xd8\xff": ("a picture", "the dataset `images` reads pictures"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it, or compress it with gzip or xz"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
    b"\x80\x02": ("a pickle", f"it could run anything when it is read; {CSV}"),
    b"\x80\x03": ("a pickle", f"it could run anything when it is read; {CSV}"),
    b"\x80\x04": ("a pickle", f"it could run anything when it is read; {CSV}"),
    b"\x80\x05": ("a pickle", f"it could run anything when it is read; {CSV}"),
    b'{"': ("JSON", "save it as CSV"),
    b'[{"': ("JSON", "save it as CSV"),
    b"[[": ("JSON", "save it as CSV"),
    b"<!DOCTYPE": ("a web page", "download the file itself"),
    b"<!doctype": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
    b"@relation": ("an ARFF file (Weka)", "save it as CSV"),
    b"@RELATION": ("an ARFF file (Weka)", "save it as CSV"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file itself", "fetch it with git lfs pull"),
}
# What is a zip inside, by how the name of a member begins or ends.
ZIPPED: Mapping[str, tuple[str, str]] = {
    "xl/": ("an Excel file", EXCEL),
    "data.pkl": ("a file of PyTorch", "save arrays by name, with numpy.savez"),
    "content.xml": ("an OpenDocument file", "save the sheet as CSV"),
    "word/": ("a Word document", "save it as CSV"),
    ".npy": ("an npz file of arrays", "a CSV is expected here"),
}


def unreadable(path: Path, error: OSError) -> UserError:
    """What the system says of a file that cannot be read."""
    return UserError(f"cannot read {error.filename or path}: {error.strerror or error}")


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """A regular file, for the block of `with` to read.

    Raises:
        UserError: it is missing, may not be read, or is no regular file.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for one who writes.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        special = error.errno in (errno.ENXIO, errno.EOPNOTSUPP)  # a socket
        raise (_special(path, "a socket") if special else unreadable(path, error)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"cannot read {path}: Is a directory")
        if not stat.S_ISREG(mode):
            raise _special(path, "a named pipe" if stat.S_ISFIFO(mode) else "a device")
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _special(path: Path, what: str) -> UserError:
    link = f" (through a link, {path.resolve()})" if path.is_symlink() else ""
    return UserError(f"{path} is {what}{link}, no file; save what comes from it to a file first")


def head_of(path: Path) -> bytes:
    """The first bytes of a file, which tell its format."""
    with opened(path) as file:
        return file.read(HEAD)


def bound(size: int) -> int:
    """How many bytes a file of `size` bytes may unpack to."""
    return max(SMALL_ENOUGH, MOST_UNPACKED * size)


def bomb(path: Path, size: int) -> UserError:
    """The refusal of a file of `size` bytes that unpacks to more than `bound` says."""
    return UserError(
        f"{path} unpacks to more than {bound(size) / 2**30:,.0f} GiB, over {MOST_UNPACKED} times its size: "
        "refused, as it could fill the memory; unpack it yourself if it is meant to"
    )


class Bounded(io.RawIOBase):
    """A stream of what a file unpacks to, which may not be more than `bound` says."""

    def __init__(self, stream: IO[bytes], path: Path, size: int) -> None:
        self._stream, self._path, self._size = stream, path, size
        self._left = bound(size)

    def readable(self) -> bool:
        """True: it is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; how many bytes came."""
        came = self._stream.read(len(buffer))
        buffer[: len(came)] = came
        self._left -= len(came)
        if self._left < 0:
            raise bomb(self._path, self._size)
        return len(came)


@contextmanager
def decompressed(path: Path) -> Iterator[io.BufferedReader]:
    """A file's content, decompressed where its first bytes say gzip, bzip2 or xz."""
    head = head_of(path)
    opener = next((opener for mark, opener in COMPRESSED.items() if head.startswith(mark)), None)
    with opened(path) as file:
        if opener is None:
            yield file
            return
        with opener(file, "rb") as stream:
            size = os.fstat(file.fileno()).st_size
            yield io.BufferedReader(Bounded(stream, path, size), 2**16)


def check_zip(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a zip whose members would unpack to more than `bound` says.

    Raises:
        UserError: naming the file.
        zipfile.BadZipFile: a size that its packing cannot reach: it is damaged.
    """
    for member in members:
        ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: MOST_DEFLATED}.get(member.compress_type)
        if ratio and member.file_size > ratio * member.compress_size + MOST_DEFLATED:
            raise zipfile.BadZipFile(f"the stated size of {member.filename!r} cannot be")
    size = path.stat().st_size
    if sum(member.file_size for member in members) > bound(size):
        raise bomb(path, size)


@contextmanager
def text_lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of UTF-8 text with their ends, from a file that may be compressed, or a zip of one file.

    Raises:
        UserError: a file that is missing, damaged, too large, or of another format; also while lines are read.
    """
    try:
        with _single(path) as stream:
            head = stream.peek(HEAD)[:HEAD]
            if head.startswith((ZIP, *COMPRESSED)) or head[TAR_MARK:].startswith(b"ustar"):
                raise UserError(f"{path} is or holds an archive; unpack it, and give the file that is meant")
            refuse_format(path, head)
            with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
                yield _lines(path, text)
    except BROKEN as error:
        raise UserError(f"{path} is damaged or cut off: {error}") from None
    except OSError as error:
        if error.errno is None:  # from gzip
            raise UserError(f"{path} is damaged or cut off: {error}") from None
        raise unreadable(path, error) from None


@contextmanager
def _single(path: Path) -> Iterator[io.BufferedReader]:
    """The content of a file, or of the only file in a zip."""
    if not head_of(path).startswith((ZIP, b"PK\x05\x06")):
        with decompressed(path) as stream:
            yield stream
        return
    with opened(path) as file, _zip(path, file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _refuse_zipped(path, [member.filename for member in members])
        members = [member for member in members if not is_litter(member.filename)] or members
        if len(members) != 1:
            raise UserError(f"{path} holds {len(members)} files; expected one CSV file")
        check_zip(path, members)
        with archive.open(members[0]) as member:
            raw: Any = member  # a reader of bytes, which typing does not know for one
            yield io.BufferedReader(raw)


def _zip(path: Path, file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:  # the second of a later version's
        raise UserError(
            f"{path} is a zip archive that is damaged or cut off: {error}; if it is an Excel file, {EXCEL}"
        ) from None


def _refuse_zipped(path: Path, names: Sequence[str]) -> None:
    for mark, (what, remedy) in ZIPPED.items():
        if any(name.startswith(mark) or name.endswith(mark) for name in names):
            raise UserError(f"{path} is {what}; {remedy}")


def refuse_format(path: Path, head: bytes) -> None:
    """Refuse what is no text, by the name of its format.

    Raises:
        UserError: the format and what to do.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, (what, remedy) in FORMATS.items():
        if start.startswith(mark):
            raise UserError(f"{path} is {what}; {remedy}")
    if b"\0" in head:
        raise UserError(f"{path} is no text: it holds NUL bytes (UTF-16 without a mark?); save it as UTF-8")


def _lines(path: Path, text: IO[str]) -> Iterator[str]:
    read = number = 0
    try:
        while line := text.readline(LONGEST_LINE):
            number += 1
            read += len(line)
            if len(line) == LONGEST_LINE:
                raise UserError(f"{path}, line {number} is longer than {LONGEST_LINE:,} characters: no table of rows")
            if read > LARGEST_TEXT:
                raise UserError(f"{path} holds more than {LARGEST_TEXT / 2**30:.0f} GiB of text; use an npz file")
            yield line
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, from line {number + 1} on: not UTF-8 text: {error.reason}; save it as UTF-8"
        ) from None
