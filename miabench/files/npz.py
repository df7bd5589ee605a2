"""npz files: a user's is opened so that what is wrong with it is said in one line; our own are never cut off."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.atomic import write_file
from miabench.files.opened import ZIP, check_zip, opened

BROKEN = (ValueError, EOFError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile)  # what reading one may raise
LENGTH = np.lib.format.MAGIC_LEN  # bytes before that of a header's length
ENTRY = 30  # bytes before an entry's name in a zip
PIECE = 2**20  # bytes that are read at once: the zip's reader holds them twice


def is_npz(path: Path) -> bool:
    """Whether a file is a zip that holds arrays, or is called one and is a zip.

    Raises:
        UserError: it is missing, or no regular file.
    """
    with opened(path) as stream:
        if stream.read(len(ZIP)) != ZIP:
            return False
        try:
            with zipfile.ZipFile(stream) as archive:
                return any(name.endswith(".npy") for name in archive.namelist())
        except (OSError, *BROKEN):
            return path.suffix.lower() == ".npz"


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """A stranger's file of arrays, for the block of `with` to read; nothing in it is unpickled.

    Raises:
        UserError: a file that is missing or damaged, or no npz; an array of objects, which only a pickle can hold.
    """
    with _said(path), opened(path) as stream:
        if not zipfile.is_zipfile(stream):  # NumPy would take it for a pickle, and advise to trust it
            raise UserError(f"{path} is not an npz file of plain arrays: it is no zip archive, or is cut off")
        with zipfile.ZipFile(stream) as archive:
            _check_sizes(path, archive)
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            yield file


def read_npz(path: Path, *names: str, rows: int | None = None, mapped: bool = False) -> dict[str, NDArray[Any]]:
    """Arrays of a file of ours, in which nothing is compressed: they take no more memory than it has bytes.

    NumPy would read each header twice; a report reads ten thousands of small files.

    Args:
        path: of the file.
        names: of the arrays; all if there are none.
        rows: how many each must have, where that is known: an array of more is not read.
        mapped: leave them in the file, whose pages all processes share: what is read of them is loaded, what is written
            is this process's own. Their bytes are not compared with the file's checksums, and may lie across words.

    Raises:
        UserError: a file that is missing or damaged, none of ours, or has other arrays than these.
    """
    with _said(path), opened(path) as stream, zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise UserError(f"{path} is none of ours: it claims more bytes than it has")
        held = [name.removesuffix(".npy") for name in archive.namelist()]
        if missing := [name for name in names if name not in held]:
            raise UserError(f"{path} holds no array {missing[0]!r}, only {', '.join(held)}")
        return {name: _array(path, archive, name, rows, stream if mapped else None) for name in names or held}


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What goes wrong with a file while it is read, in one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except BROKEN as error:
        raise UserError(f"{path} is not an npz file of plain arrays: {error}") from None


def _array(
    path: Path, archive: zipfile.ZipFile, name: str, rows: int | None, file: io.BufferedReader | None
) -> NDArray[Any]:
    """An array of a file of ours; its checksum is compared where its last byte is read, or it is mapped from a file."""
    member = archive.getinfo(f"{name}.npy")
    with cast(zipfile.ZipExtFile, archive.open(member)) as stream:
        begin = _head(stream)
        head = _described(begin)
        _check_size(path, member, head)
        if rows is not None and head.shape[:1] != (rows,):
            raise UserError(f"{path}: the array {name!r} has shape {head.shape}; expected {rows:,} rows")
        if head.dtype.hasobject:
            raise ValueError("object arrays cannot be loaded when allow_pickle=False")  # as NumPy says it
        size = math.prod(head.shape)
        if file is not None and size:
            return _mapped(file, member, begin, head)
        array = np.empty(size, head.dtype)
        content = array.view(np.uint8).data
        pieces = (content[at : at + PIECE] for at in range(0, len(content), PIECE))
        if any(stream.readinto(piece) < len(piece) for piece in pieces):
            raise EOFError(f"the array {name!r} is cut off")
        return array.reshape(head.shape, order="F" if head.fortran else "C")


def _mapped(file: io.BufferedReader, member: zipfile.ZipInfo, begin: bytes, head: Header) -> NDArray[Any]:
    """An array where it lies in a file; the entry before it ends with a name and an extra field, whose lengths it says.

    Raises:
        BadZipFile: it is compressed.
    """
    if member.compress_type != zipfile.ZIP_STORED:
        raise zipfile.BadZipFile(f"{member.filename} is compressed")
    file.seek(member.header_offset)
    entry = file.read(ENTRY)
    lengths = [int.from_bytes(entry[at : at + 2], "little") for at in (26, 28)]
    start = member.header_offset + len(entry) + sum(lengths) + len(begin)
    order: Literal["F", "C"] = "F" if head.fortran else "C"
    return np.asarray(np.memmap(file, head.dtype, "c", start, head.shape, order))


class Header(NamedTuple):
    """What is said of an array before its numbers.

    Attributes:
        shape: of the array.
        fortran: whether the first axis varies fastest.
        dtype: of its numbers.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def _head(stream: IO[bytes] | zipfile.ZipExtFile) -> bytes:
    """The bytes of a header: magic, version, length (of 2 bytes in version 1, later of 4) and text."""
    begin = stream.read(LENGTH + 2)
    if not begin.startswith(np.lib.format.magic(1, 0)):
        begin += stream.read(2)
    return begin + stream.read(int.from_bytes(begin[LENGTH:], "little"))


@lru_cache(1024)
def _described(head: bytes) -> Header:
    """What a header says; NumPy parses it as Python, which takes longer than to read a small array."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return Header(*read(stream))


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse arrays that fill more memory than the file accounts for, by packing or by what their headers claim."""
    members = archive.infolist()
    check_zip(path, members)
    for member in members:
        if member.filename.endswith(".npy"):
            with archive.open(member) as stream:
                _check_size(path, member, _described(_head(stream)))


def _check_size(path: Path, member: zipfile.ZipInfo, head: Header) -> None:
    claimed = math.prod(head.shape) * head.dtype.itemsize
    if not head.dtype.hasobject and claimed > member.file_size:
        name = member.filename.removesuffix(".npy")
        raise UserError(f"{path}: the array {name!r} claims {claimed:,} bytes and holds {member.file_size:,}")


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of arrays by name, none of objects."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write such a file."""
    write_file(path, npz_bytes(arrays))
