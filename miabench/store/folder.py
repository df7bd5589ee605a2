"""The folders that everything is kept in: a store is made, recognised, and never left through a link."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from miabench.errors import MissingStepError, UserError
from miabench.files.atomic import remove_leftovers, replace_file, write_file
from miabench.files.json import read_json, sealed
from miabench.files.paths import expanded

VERSION = 2  # of the format; 1 had no format.json, and manifests, indexes and failures without checksums

FORMAT_FILE = "format.json"
ROOMS = (
    "networks", "observations", "scores", "metrics", "ids", "checkpoints", "failures", "experiments", "plans", "tuning",
    "running", "locks",
)  # fmt: skip
KEYED = "[0-9a-f]" * 32 + "*"  # what artifacts and lists are called; no file of other programs is, by chance
OF_NOBODY = "lost+found"  # of a file system's own root
MOST_NAMED = 5  # strangers that an error names


class Format(BaseModel, frozen=True, extra="forbid"):
    """What format.json says."""

    format: int


FORMAT = TypeAdapter(Format)


def open_folder(folder: Path, create: bool) -> None:
    """See that a folder is a store that this version reads, and can write if it is to.

    Args:
        folder: of the store.
        create: whether it is made where there is none, and must be writable.

    Raises:
        UserError: it is a file, a newer version's, cannot be made or written; there is none; it holds other things.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the store {folder} is a file; choose a folder with --store")
    if create:
        _make(folder)
    elif not folder.exists():
        raise MissingStepError(f"there is no store {folder}; choose another with --store, or", "run")
    if not _is_store(folder):
        _refuse_strangers(folder)
        if not create:
            raise MissingStepError(f"no store is in {folder}: it is empty; choose another with --store, or", "run")
    if not check_format(folder) and create:
        with replace_file(folder / FORMAT_FILE) as temporary:
            write_file(temporary, sealed(Format(format=VERSION).model_dump_json().encode()))
    if create:
        for place in (folder, *(inner for inner in folder.iterdir() if inner.is_dir() and not inner.is_symlink())):
            remove_leftovers(place)


def room(folder: Path, *names: str) -> Path:
    """A folder below a store's, to write in or delete from; made if need be.

    Raises:
        UserError: it, or one that it is in, is a link: what it leads to is none of the store's.
    """
    for name in names:
        folder = folder / name
        refuse_link(folder)
        folder.mkdir(exist_ok=True)
    return folder


def refuse_link(path: Path) -> None:
    """See that a place in a store is none elsewhere.

    Raises:
        UserError: it is a link.
    """
    if path.is_symlink():
        raise UserError(f"{path} is a link; in a store no link is written through: put the folder itself there")


def _is_store(folder: Path) -> bool:
    """Whether a folder says so, or has what one of an older version has from its first plan on."""
    return (folder / FORMAT_FILE).exists() or any(any(folder.glob(f"{room}/{KEYED}")) for room in ("ids", "networks"))


def _refuse_strangers(folder: Path) -> None:
    """See that a folder that is no store holds nothing else, hidden files aside: it may become one.

    Raises:
        UserError: it does.
    """
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in (*ROOMS, OF_NOBODY))
    if strangers := [name for name in strangers if not name.startswith(".")]:
        more = f" and {len(strangers) - MOST_NAMED:,} more" if len(strangers) > MOST_NAMED else ""
        raise UserError(
            f"no store is in {folder}: it holds {', '.join(strangers[:MOST_NAMED])}{more}; choose a store, or a new or "
            "empty folder, with --store"
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the store {folder}: {error.strerror}; choose another with --store") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write to the store {folder}; choose another with --store")


def check_format(folder: Path) -> bool:
    """Whether a store says its format, which this version reads.

    Raises:
        UserError: it is a newer version's; the file is damaged.
    """
    path = folder / FORMAT_FILE
    if not path.exists():
        return False
    found = read_json(path, FORMAT, "remove it: it is made anew").format
    if found > VERSION:
        raise UserError(
            f"the store {folder} has format {found}, of a newer miabench; this one reads formats up to {VERSION}"
        )
    return True


def data_folder(root: str | Path | None) -> Path:
    """Where downloads and decoded copies go: the given folder, else the platform's cache folder; made if need be."""
    from platformdirs import user_cache_path

    folder = user_cache_path("miabench") if root is None else expanded(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the data folder {folder}: {error.strerror}; choose another with --data-root"
        ) from None
    return folder
