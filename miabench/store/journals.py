"""The journal of a search for hyper-parameters: lines are only added, and what is whole of it is on record.

`journal.log` has a line of JSON for each operation, as Optuna writes them; `journal.json` says how many bytes of it are
whole, and their checksum.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from miabench.errors import UserError
from miabench.files.atomic import replace_file, sync, write_file
from miabench.files.json import LARGEST, read_json, sealed
from miabench.files.opened import opened

JOURNAL = "journal.log"


class Whole(BaseModel, frozen=True, extra="forbid"):
    """What is whole of a journal.

    Attributes:
        search: whose journal it is.
        size: in bytes.
        checksum: SHA-256 of so many bytes.
    """

    search: str
    size: int
    checksum: str


WHOLE = TypeAdapter(Whole)


def record(journal: Path) -> None:
    """Put on record that all of a journal is whole."""
    sync(journal)
    content = journal.read_bytes()
    whole = Whole(search=journal.parent.name, size=len(content), checksum=hashlib.sha256(content).hexdigest())
    with replace_file(_record_of(journal)) as temporary:
        write_file(temporary, sealed(whole.model_dump_json().encode()))


def cut_unfinished(journal: Path) -> None:
    """Drop what a killed process left behind what is whole: Optuna would append to it and never read it again.

    Raises:
        UserError: as `whole_part`.
    """
    whole = whole_part(journal)
    if journal.exists() and len(whole) < journal.stat().st_size:
        with journal.open("r+b") as file:
            file.truncate(len(whole))


def whole_part(journal: Path) -> bytes:
    """What is whole of a journal; all lines of one that an older version wrote; nothing where there is none.

    Raises:
        UserError: the journal or its record is not what was written, or another search's.
    """
    remedy = f"remove the folder {journal.parent} and tune again: trainings are kept"
    if not journal.exists():
        return b""
    with opened(journal) as file:
        content = file.read(LARGEST)
    if not _record_of(journal).exists():
        return content[: content.rfind(b"\n") + 1]
    known = read_json(_record_of(journal), WHOLE, remedy)
    whole = content[: known.size]
    if (known.search, known.checksum) != (journal.parent.name, hashlib.sha256(whole).hexdigest()):
        raise UserError(f"{journal} is damaged; {remedy}")
    return whole


def _record_of(journal: Path) -> Path:
    return journal.with_suffix(".json")
