"""Our own JSON files, read so that one that is damaged is named, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from miabench.errors import UserError

WHY = 200  # characters of a reason that are shown
LARGEST = 512 * 2**20  # bytes; the largest that we write is an index of some ten thousand cells

T = TypeVar("T")


def parse_json(content: bytes, form: TypeAdapter[T], path: Path, remedy: str) -> T:
    """What a JSON file of ours says.

    Args:
        content: of the file.
        form: what it must say.
        path: for the error.
        remedy: what the user can do, for the error.

    Raises:
        UserError: it is not JSON, nested too deeply, holds a number that is not finite, or does not say what it must.
    """
    try:
        from_json(content, allow_inf_nan=False)  # which the forms would let through
        return form.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        why = ": ".join([".".join(map(str, first["loc"])), first["msg"]][not first["loc"] :])
    except ValueError as error:
        why = str(error)
    raise UserError(f"{path} is damaged ({why[:WHY]}); {remedy}")


def read_json(path: Path, form: TypeAdapter[T], remedy: str) -> T:
    """As `parse_json`, from the file.

    Raises:
        UserError: the file cannot be read or is far larger than what we write.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is damaged ({path.stat().st_size} bytes); {remedy}")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; {remedy}") from None
    return parse_json(content, form, path, remedy)
