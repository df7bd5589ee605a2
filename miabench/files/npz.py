"""npz files: a user's is opened so that what is wrong with it is said in one line; our own are never cut off."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.atomic import write_file
from miabench.files.opened import ZIP, check_zip, opened

BROKEN = (ValueError, EOFError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile)  # what reading one may raise


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
def open_npz(path: Path, ours: bool = False, rows: int | None = None) -> Iterator[NpzFile]:
    """A file of arrays, for the block of `with` to read; nothing in it is unpickled.

    Args:
        path: of the file.
        ours: we wrote it, so that nothing in it is compressed: its arrays take no more memory than the file has bytes.
        rows: how many each array must have, where that is known.

    Raises:
        UserError: a file that is missing or damaged, or no npz; an array of objects, which only a pickle can hold.
    """
    try:
        with opened(path) as stream:
            if not zipfile.is_zipfile(stream):  # NumPy would take it for a pickle, and advise to trust it
                raise UserError(f"{path} is not an npz file of plain arrays: it is no zip archive, or is cut off")
            with zipfile.ZipFile(stream) as archive:
                if ours and sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                    raise UserError(f"{path} is none of ours: it claims more bytes than it has")
                _check_sizes(path, archive, rows)
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                yield file
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except BROKEN as error:
        raise UserError(f"{path} is not an npz file of plain arrays: {error}") from None


def _check_sizes(path: Path, archive: zipfile.ZipFile, rows: int | None) -> None:
    """Refuse arrays that fill more memory than the file accounts for, by packing or by what their headers claim."""
    members = archive.infolist()
    check_zip(path, members)
    for member in members:
        if not member.filename.endswith(".npy"):
            continue
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(stream)
        name = member.filename.removesuffix(".npy")
        if rows is not None and shape[:1] != (rows,):
            raise UserError(f"{path}: the array {name!r} has shape {shape}; expected {rows:,} rows")
        claimed = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and claimed > member.file_size:
            raise UserError(f"{path}: the array {name!r} claims {claimed:,} bytes and holds {member.file_size:,}")


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of arrays by name, none of objects."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write such a file."""
    write_file(path, npz_bytes(arrays))
