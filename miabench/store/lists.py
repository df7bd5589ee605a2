"""Lists of pool rows, a file of NumPy's each."""

from __future__ import annotations

import hashlib
from pathlib import Path

from miabench.errors import UserError
from miabench.files.opened import opened

LARGEST = 2**31  # bytes
NAME_LENGTH = 32  # hexadecimal digits, as keys have


def rows_in(path: Path) -> bytes:
    """The rows in a list's file as they are, without NumPy's header, which nothing protects; empty if there is none."""
    try:
        with opened(path) as file:
            content = file.read(LARGEST)
    except UserError:
        return b""
    return content[10 + int.from_bytes(content[8:10], "little") :]


def name_of(content: bytes) -> str:
    """What a list of these rows is called."""
    return hashlib.sha256(content).hexdigest()[:NAME_LENGTH]
