"""Notes of how far running jobs are, in the store: for whoever looks on, from another terminal or machine.

A note may be left by a process that was killed. So a job runs if its lock is held, or, where locks of other machines
cannot be seen, if its note was renewed a moment ago.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, TypeAdapter

from miabench.errors import UserError
from miabench.files.atomic import replace_file, write_file
from miabench.files.json import read_json
from miabench.store.store import Store

FOLDER = "running"  # of a store
EVERY = 5.0  # seconds between two notes of a job; shorter jobs leave none
FRESH = 60.0  # seconds for which a note of another machine counts; clocks may differ a little


class Note(BaseModel, frozen=True):
    """How far a job is.

    Attributes:
        host: name of the machine.
        pid: of the process there.
        began: when the job did; seconds since 1970, as `renewed`.
        renewed: when the note was.
        first: of a training, the epoch that was the first after `began`.
        epoch: the last that is done.
        loss: of that epoch, where one is recorded.
    """

    host: str
    pid: int
    began: float
    renewed: float
    first: int | None = None
    epoch: int | None = None
    loss: float | None = None

    @property
    def fresh(self) -> bool:
        """Whether its job runs, as far as can be told without a lock: on this machine, locks tell."""
        return self.host != socket.gethostname() and time.time() - self.renewed < FRESH


NOTE = TypeAdapter(Note)


def read_note(store: Store, key: str) -> Note | None:
    """The note of a job; None if there is none that can be read."""
    path = store.folder / FOLDER / f"{key}.json"
    with suppress(UserError):
        return read_json(path, NOTE, "it may be removed") if path.exists() else None
    return None


class NotedJob:
    """Keeps the note of a job in the block of `with`; whoever enters it holds the job's lock."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._name = f"{key}.json"
        self._began = time.time()
        self._first: int | None = None
        self._record: Mapping[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        with suppress(OSError, UserError):
            self._path().unlink(missing_ok=True)  # that of an earlier process too

    def epoch(self, record: Mapping[str, float]) -> None:
        """Hear of an epoch's end."""
        self._first = self._first or round(record["epoch"])
        self._record = record

    def _keep(self) -> None:
        while not self._over.wait(EVERY):
            with suppress(OSError, UserError), replace_file(self._path()) as temporary:  # a full disk ends no job
                write_file(temporary, self._note().model_dump_json().encode())

    def _path(self) -> Path:
        return self._store.room(FOLDER) / self._name

    def _note(self) -> Note:
        record = self._record
        return Note(
            host=socket.gethostname(),
            pid=os.getpid(),
            began=self._began,
            renewed=time.time(),
            first=self._first,
            epoch=round(record["epoch"]) if record else None,
            loss=record.get("loss"),
        )
