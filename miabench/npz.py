"""Opening a user's npz file: what is wrong with it is said in one line, and nothing in it is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from miabench.errors import UserError

BROKEN = (ValueError, EOFError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile)  # what reading one may raise


@contextmanager
def opened_npz(path: Path) -> Iterator[NpzFile]:
    """The file, for the block of `with` to read arrays from.

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
