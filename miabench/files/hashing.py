"""The hash of a file's content."""

from __future__ import annotations

import hashlib
import io
from typing import Literal


def hash_of(file: io.BufferedReader, algorithm: Literal["sha256", "md5"] = "sha256") -> str:
    """The hexadecimal hash of what an open file holds from where it stands on.

    MD5 is there because publishers state it: it tells damage from intact files, and no more is asked of it.
    """
    return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
