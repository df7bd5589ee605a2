"""Removing what killed processes left of jobs that are done: they are not done again, so nothing else would."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress

from miabench.files.lock import LockedError, lock
from miabench.jobs.notes import FOLDER, read_note
from miabench.store.store import KEY_LENGTH, Store


def tidy(store: Store, done: Collection[str]) -> None:
    """Remove locks that nobody holds, notes of jobs that nobody is at, and the states of trainings that are done.

    Args:
        store: where a run has ended.
        done: keys of jobs whose results are stored.
    """
    for path in store.room("locks").glob("*.lock"):
        with suppress(LockedError), lock(path, wait=False):  # its release removes the file
            pass
    for path in store.room(FOLDER).glob("*.json"):
        note = read_note(store, path.stem)
        if not store.is_locked(path.stem) and (note is None or not note.fresh):
            path.unlink(missing_ok=True)
    for path in store.room("checkpoints").iterdir():
        if path.name[:KEY_LENGTH] in done:
            shutil.rmtree(path, ignore_errors=True)
