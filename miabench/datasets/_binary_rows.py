"""Text files of zeros and ones, one record a line, as privacytrustlab/datasets publishes them in .tgz archives."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from miabench import UserError
from miabench.download import Remote, first_use_recorded

REPOSITORY = "https://github.com/privacytrustlab/datasets/raw/master"


@dataclass(frozen=True)
class Line:
    """A line of a text file, without its end, and where it stands in words."""

    text: bytes
    place: str


@contextmanager
def published(archive: str, path: Path | None, folder: Path) -> Iterator[Path]:
    """The user's own copy of an archive of the repository where `path` names one; else downloaded once to `folder`."""
    if path is not None:
        yield path.expanduser()
        return
    with first_use_recorded(Remote(f"{REPOSITORY}/{archive}"), folder) as file:
        yield file


def text_files(path: Path, records: Mapping[str, int]) -> Iterator[tuple[str, Iterator[Line]]]:
    """Name and lines of each wanted text file of a .tgz, in the archive's order, read once; nothing is unpacked to disk.

    Args:
        path: the archive; where only one file is wanted it may also be that file itself.
        records: how many lines each wanted file must have, by its name in the archive.

    Raises:
        UserError: a missing, damaged or cut-off archive, or one without a wanted file; too few or too many lines.
    """
    missing = dict(records)
    with _readable(path), path.open("rb") as stream:
        if len(records) == 1 and not _packed(stream):
            name = next(iter(records))
            yield name, _lines(path, stream, str(path), records[name])
            return
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                file = archive.extractfile(member) if name in missing else None
                if file is not None:
                    place = str(path) if len(records) == 1 else f"{name} in {path}"
                    yield name, _lines(path, file, place, missing.pop(name))
    if missing:
        raise UserError(f"{path} is an archive without a file `{next(iter(missing))}`")


def bits(fields: bytes, features: int, place: str) -> NDArray[np.uint8]:
    """Zeros and ones (features,) from a line's comma-separated fields."""
    characters = np.frombuffer(fields, dtype=np.uint8)
    values = characters[::2] - np.uint8(ord("0"))  # wraps round where it is no digit: larger than 1 too
    if len(characters) == 2 * features - 1 and (characters[1::2] == ord(",")).all() and values.max() <= 1:
        return values
    cells = fields.split(b",")
    if len(cells) != features:
        raise UserError(f"{place}: {len(cells)} features; expected {features}")
    for column, cell in enumerate(cells):
        if cell.strip() not in (b"0", b"1"):
            raise UserError(f"{place}: feature {column + 1} is {_shown(cell)!r}; expected 0 or 1")
    return np.array([int(cell) for cell in cells], dtype=np.uint8)


def label(text: bytes, names: Mapping[bytes, int], place: str) -> int:
    """The class a field stands for."""
    if text not in names:
        *_, last = names
        raise UserError(f"{place}: the class is {_shown(text)}; expected {_shown(next(iter(names)))} to {_shown(last)}")
    return names[text]


def labelled_bits(path: Path, name: str, shape: tuple[int, int], names: Mapping[bytes, int]) -> _Labelled:
    """Records of a file whose lines are a class and then the features, all separated by commas.

    Args:
        path: the archive or the text file.
        name: of the text file in the archive.
        shape: (N, F) that the file must have.
        names: class of each label as it is written.
    """
    x = np.empty(shape, dtype=np.uint8)
    y = np.empty(shape[0], dtype=np.int64)
    for _, lines in text_files(path, {name: shape[0]}):
        for row, line in enumerate(lines):
            first, _, rest = line.text.partition(b",")
            y[row] = label(first, names, line.place)
            x[row] = bits(rest, shape[1], line.place)
    return _Labelled(x, y)
