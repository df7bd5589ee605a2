"""Location30: check-ins of 5,010 users in Bangkok, 446 binary features, 30 classes (clusters of users).

Made from Foursquare check-ins (Yang et al., 2016) by Shokri et al., "Membership inference attacks against machine
learning models" (IEEE S&P 2017, arXiv:1610.05820, section 6.1) and published in the repository
privacytrustlab/datasets. The file is `bangkok`, plain text or packed in a .tgz: one user a line, the class "1" to "30"
in quotes, then 446 fields 0 or 1. Without `path` the published .tgz is downloaded once. Inputs are float32 zeros and
ones, not normalised.
"""

from __future__ import annotations

import http.client
import io
import tarfile
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from miabench import Data, Dataset, Field, UserError
from miabench.atomic import replace_folder

URL = "https://raw.githubusercontent.com/privacytrustlab/datasets/master/dataset_location.tgz"
TIMEOUT = 60  # seconds without an answer
RECORDS, FEATURES, CLASSES = 5010, 446, 30
NUMBER = {f'"{label}"': label for label in range(1, CLASSES + 1)}


class Location30(Dataset, frozen=True):
    """Where people in Bangkok go, by cluster of users."""

    path: Path | None = Field(None, description="the published .tgz or the text file in it; None: download it once")

    def load(self, root: Path) -> Data:
        """The pool, in the file's order.

        Raises:
            UserError: naming the file, and the line that is wrong; or, without network, what to put where.
        """
        if self.path is not None:
            return _parse(_read(self.path.expanduser()), str(self.path))
        file = root / "location30" / "dataset_location.tgz"
        if file.exists():
            return _parse(_read(file), str(file))
        content = _download(file)
        data = _parse(content, URL)  # before it is kept: an error page or half a file must not stay
        with replace_folder(file.parent) as folder:
            (folder / file.name).write_bytes(content)
        return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _download(file: Path) -> bytes:
    try:
        with urllib.request.urlopen(URL, timeout=TIMEOUT) as response:
            content: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot download {URL} ({error}); fetch it on a machine with network access and put it at {file}, "
            "or name it with path"
        ) from None
    return content


def _parse(content: bytes, source: str) -> Data:
    lines = _text(content, source).splitlines()
    if len(lines) != RECORDS:
        raise UserError(f"{source} has {len(lines)} lines; the published file has {RECORDS}")
    x = np.empty((RECORDS, FEATURES), dtype=np.float32)
    y = np.empty(RECORDS, dtype=np.int64)
    for row, line in enumerate(lines):
        label, *features = line.split(",")
        _check(label, features, f"{source}, line {row + 1}")
        y[row] = NUMBER[label] - 1
        x[row] = _bits(features)
    where = [f"{source}, line {row + 1}" for row in range(RECORDS)]
    names = tuple(str(label) for label in NUMBER.values())
    return Data(torch.from_numpy(x), torch.from_numpy(y), names, where=where)


def _text(content: bytes, source: str) -> str:
    """The text file, unpacked where it is packed."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            file = archive.extractfile("bangkok")
            content = file.read() if file else b""
    except KeyError:
        raise UserError(f"{source} is an archive without a file `bangkok`") from None
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if content.startswith(b"\x1f\x8b"):
            raise UserError(f"{source} is damaged or cut off: {error}") from None
    return content.decode("ascii", errors="replace")


def _check(label: str, features: list[str], place: str) -> None:
    if label not in NUMBER:
        raise UserError(f'{place}: the class is {label[:20]}; expected "1" to "{CLASSES}", in quotes')
    if len(features) != FEATURES:
        raise UserError(f"{place}: {len(features)} features; expected {FEATURES}")
    for column, feature in enumerate(features):
        if feature not in ("0", "1"):
            raise UserError(f"{place}: feature {column + 1} is {feature[:20]!r}; expected 0 or 1")


def _bits(features: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer("".join(features).encode(), dtype=np.uint8) - ord("0")
