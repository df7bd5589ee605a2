"""Why jobs failed last time, a file each."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from miabench.errors import UserError
from miabench.files.json import read_json


class Failure(BaseModel, frozen=True, extra="forbid"):
    """What is remembered of a job that failed; `key`, the job's, is missing where an older version wrote it."""

    why: str
    key: str | None = None


FAILURE = TypeAdapter(Failure)


def read_failure(path: Path) -> Failure:
    """Why the job whose file this is failed.

    Raises:
        UserError: the file is not what was written, or another job's.
    """
    remedy = "remove it: it only says why a job failed"
    failure = read_json(path, FAILURE, remedy)
    if failure.key not in (None, path.stem):
        raise UserError(f"{path} is that of {failure.key}; {remedy}")
    return failure
