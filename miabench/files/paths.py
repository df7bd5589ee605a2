"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

from miabench.errors import UserError


def expanded(path: str | Path) -> Path:
    """A path with the home folder in place of `~`.

    Raises:
        UserError: `~name` where nobody has that name; a NUL, which no path can have.
    """
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} cannot be a path: it holds NUL characters")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no such user; write ./~... for a file whose name begins so") from None
