"""Records of zeros and ones, one a line of a text file, as privacytrustlab/datasets publishes them in .tgz archives."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from miabench import UserError
from miabench.files.archive import content_hash
from miabench.files.array_cache import cached_arrays
from miabench.files.download import Remote, trust_on_first_use
from miabench.files.opened import decompressed
from miabench.files.paths import expanded

REPOSITORY = "https://github.com/privacytrustlab/datasets/raw/master"
TAR = b"ustar"  # how a tar begins, at byte 257
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Line:
    """A line of a text file, without its end, and where it stands in words."""

    text: bytes
    place: str


class Records(NamedTuple):
    """Features (N, F) of 0 and 1, and classes (N,) from 0."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]


@contextmanager
def published(archive: str, path: Path | None, folder: Path) -> Iterator[Path]:
    """An archive of the repository: the user's copy at `path` where one is named, else one downloaded to `folder`."""
    if path is not None:
        yield expanded(path)
        return
    with trust_on_first_use(Remote(f"{REPOSITORY}/{archive}"), folder) as file:
        yield file


def kept_records(folder: Path, path: Path, decode: Callable[[], Records]) -> Records:
    """What `decode` makes of the file at `path`, kept in `folder` under the file's content."""
    key = content_hash(path, lambda _: True)[:32]
    kept = cached_arrays(folder / f"decoded-{key}", lambda: decode()._asdict())
    return Records(kept["x"], kept["y"])


def labelled_bits(path: Path, name: str, shape: tuple[int, int], classes: Mapping[bytes, int]) -> Records:
    """Records of a file whose lines are a class and then the features, all separated by commas.

    Args:
        path: the archive or the text file.
        name: of the text file in the archive.
        shape: (N, F) that the file must have.
        classes: by how they are written.

    Raises:
        UserError: naming the file, and the line that is wrong.
    """
    x = np.empty(shape, dtype=np.uint8)
    y = np.empty(shape[0], dtype=np.int64)
    for _, lines in text_files(path, {name: shape[0]}):
        for row, line in enumerate(lines):
            label, _, features = line.text.partition(b",")
            y[row] = class_of(Line(label, line.place), classes)
            x[row] = bits(Line(features, line.place), shape[1])
    return Records(x, y)


def text_files(path: Path, lengths: Mapping[str, int]) -> Iterator[tuple[str, Iterator[Line]]]:
    """Name and lines of some text files in a .tgz, in the archive's order, read once; nothing is unpacked to disk.

    Args:
        path: the archive; where only one file is wanted it may also be that file itself.
        lengths: how many lines each wanted file must have, by its name in the archive.

    Raises:
        UserError: a missing, damaged or cut-off archive, or one without a wanted file; too few or too many lines.
    """
    missing = dict(lengths)
    with _readable(path), decompressed(path) as stream:
        if len(lengths) == 1 and not _is_tar(stream):
            name, length = missing.popitem()
            yield name, _lines(path, stream, str(path), length)
            return
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                file = archive.extractfile(member) if name in missing and member.isreg() else None
                if file is not None:
                    place = str(path) if len(lengths) == 1 else f"{path}, {name}"
                    yield name, _lines(path, file, place, missing.pop(name))
        while stream.read(CHUNK):  # to its end, where gzip's own checksum is
            pass
    if missing:
        raise UserError(f"{path} is an archive without a file `{next(iter(missing))}`")


def class_of(line: Line, classes: Mapping[bytes, int]) -> int:
    """The class that a line's text stands for."""
    if line.text not in classes:
        first, *_, last = map(_shown, classes)
        raise UserError(f"{line.place}: the class is {_shown(line.text)}; expected {first} to {last}")
    return classes[line.text]


def bits(line: Line, features: int) -> NDArray[np.uint8]:
    """Zeros and ones (features,) from a line of comma-separated fields."""
    characters = np.frombuffer(line.text, dtype=np.uint8)
    values = characters[::2] - np.uint8(ord("0"))  # what is below "0" wraps round, to above 1
    if len(values) == features and (characters[1::2] == ord(",")).all() and values.max() <= 1:
        return values
    fields = line.text.split(b",")
    if len(fields) != features:
        raise UserError(f"{line.place}: {len(fields)} features; expected {features}")
    wrong = next(column for column, field in enumerate(fields) if field not in (b"0", b"1"))
    raise UserError(f"{line.place}: feature {wrong + 1} is {_shown(fields[wrong])!r}; expected 0 or 1")


def _lines(path: Path, stream: IO[bytes], place: str, length: int) -> Iterator[Line]:
    count = 0
    with _readable(path):
        for count, text in enumerate(stream, start=1):
            if count <= length:
                yield Line(text.rstrip(b"\r\n"), f"{place}, line {count}")
    if count != length:
        raise UserError(f"{place} has {count} lines; the published file has {length}")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise UserError(f"{path} is damaged or cut off: {error}") from None
    except OSError as error:
        if error.strerror is None:  # gzip's own errors are OSErrors without a number
            raise UserError(f"{path} is damaged or cut off: {error}") from None
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _is_tar(stream: io.BufferedReader) -> bool:
    return stream.peek(tarfile.BLOCKSIZE)[257:].startswith(TAR)


def _shown(text: bytes) -> str:
    return text[:20].decode("ascii", errors="replace")
