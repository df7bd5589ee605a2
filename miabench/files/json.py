"""Our own JSON files, read so that one that is damaged is named, with what to do.

A sealed file is an object whose last member, `sha256`, is the checksum of all that stands before it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from miabench.errors import UserError
from miabench.files.opened import opened

SEAL = re.compile(rb',\n"sha256": "([0-9a-f]{64})"\n}\n')
SEAL_LENGTH = 81  # bytes
WHY = 200  # characters of a reason that are shown
LARGEST = 512 * 2**20  # bytes; the largest that we write is an index of some ten thousand cells

T = TypeVar("T")


def sealed(content: bytes) -> bytes:
    """A JSON object, not empty, with its checksum."""
    before = content.rstrip().removesuffix(b"}").rstrip()
    return before + f',\n"sha256": "{hashlib.sha256(before).hexdigest()}"\n}}\n'.encode()


def unsealed(content: bytes, path: Path, remedy: str) -> bytes:
    """A sealed object without its checksum; one that has none, as older versions wrote it, as it is.

    Where the seal itself is damaged, what stands before it is whole, or the object has a member that no form knows.

    Raises:
        UserError: the checksum is another.
    """
    seal = SEAL.fullmatch(content[-SEAL_LENGTH:])
    if seal is None:
        return content
    before = content[:-SEAL_LENGTH]
    if hashlib.sha256(before).hexdigest().encode() != seal[1]:
        raise UserError(f"{path} is damaged (its checksum is another); {remedy}")
    return before + b"}"


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
    """As `parse_json`, from a file that may be sealed.

    Raises:
        UserError: the file cannot be read, is far larger than what we write, or its checksum is another.
    """
    try:
        with opened(path) as file:
            content = file.read(LARGEST + 1)
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from None
    if len(content) > LARGEST:
        raise UserError(f"{path} is damaged (more than {LARGEST:,} bytes); {remedy}")
    return parse_json(unsealed(content, path, remedy), form, path, remedy)
