"""Paths as users write them, and names that systems leave among their files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from miabench.errors import UserError

LITTER = ("thumbs.db", "desktop.ini", "__macosx")  # what systems leave in folders and archives, beside hidden files


def is_litter(name: str) -> bool:
    """Whether a file, by its path in a folder or an archive, is hidden or no doing of the user's."""
    return any(part.startswith(".") or part.lower() in LITTER for part in PurePosixPath(name).parts)


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
