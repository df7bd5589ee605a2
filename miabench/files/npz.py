"""npz files: a user's is opened so that what is wrong with it is said in one line; our own are never cut off."""

from __future__ import annotations

import io
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

BROKEN = (ValueError, EOFError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile)  # what reading one may raise


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """A user's file, for the block of `with` to read arrays from; nothing in it is unpickled.

    Raises:
        UserError: a file that is missing or damaged, or no npz; an array of objects, which only a pickle can hold.
    """
    try:
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):  # NumPy would take it for a pickle, and advise to trust it
                raise UserError(f"{path} is not an npz file of plain arrays: it is no zip archive, or is cut off")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                yield file
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except BROKEN as error:
        raise UserError(f"{path} is not an npz file of plain arrays: {error}") from None


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of arrays by name, none of objects."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write such a file."""
    write_file(path, npz_bytes(arrays))
