"""Files that others publish, fetched once into the data root: resumed, checked, and there whole or not at all.

While a file comes it is called `<name>.part`. A transfer that was broken off or killed goes on from there, if the
server lets it and says that the file is still the same one. A checksum that a publisher states is checked before the
file gets its name. Where none is stated, SHA-256 is recorded at first use in `<name>.sha256` (`sha256sum -c` reads
it) and checked at every later use.
"""

from __future__ import annotations

import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from miabench.errors import UserError
from miabench.files.atomic import replace_file, sync
from miabench.files.hashing import hash_of
from miabench.files.lock import lock

TIMEOUT = 60  # seconds without an answer
CHUNK = 1 << 18  # bytes


@dataclass(frozen=True)
class Remote:
    """A published file.

    Attributes:
        url: where it is; it keeps the name it has there.
        md5: in hexadecimal, as published; None where no publisher states a checksum.
    """

    url: str
    md5: str | None = None

    def below(self, folder: Path) -> Path:
        """Where the file lies in a folder."""
        return folder / self.url.rsplit("/", 1)[-1]


def download(remotes: Sequence[Remote], folder: Path) -> list[Path]:
    """Published files in a folder, in the order asked for; fetched where they are not there.

    Raises:
        UserError: no network, naming every file that is missing and where to put it; a wrong checksum.
    """
    try:
        for remote in remotes:
            file = remote.below(folder)
            if file.exists():
                _check(file, remote, f"{file} is not the file that {remote.url} publishes", "delete it or replace it")
                continue
            folder.mkdir(parents=True, exist_ok=True)
            with lock(folder / "download.lock"):  # two processes must not write to one .part
                if not file.exists():
                    _fetch(remote, remotes, folder)
    except OSError as error:
        raise UserError(
            f"cannot keep downloads in {folder}: {error.strerror or error}; choose another folder with --data-root"
        ) from None
    return [remote.below(folder) for remote in remotes]


@contextmanager
def trust_on_first_use(remote: Remote, folder: Path) -> Iterator[Path]:
    """A published file without a published checksum, for the block of `with` to read.

    If it was fetched just now and the block refuses it with a `UserError` (an error page, half a file), it is not
    kept. Once a block has accepted it, it must stay as it is.

    Raises:
        UserError: as `download`; the file is not the one that was used first.
    """
    file = remote.below(folder)
    fetched = not file.exists()
    download([remote], folder)
    record = file.with_name(f"{file.name}.sha256")
    with file.open("rb") as stream:
        sha256 = hash_of(stream)
    recorded = record.read_text(errors="replace").split()[:1] if record.exists() else []
    if recorded not in ([], [sha256]):
        raise UserError(
            f"{file} has changed since its first use: its SHA-256 is {sha256}, recorded in {record} is {recorded[0]}; "
            "put the first file back, or delete both to start anew"
        )
    try:
        yield file
    except UserError as error:
        if not fetched:
            raise
        file.unlink(missing_ok=True)
        raise UserError(f"{remote.url} sent a wrong file, not kept ({error}); put the right one at {file}") from None
    if not recorded:
        with replace_file(record) as temporary:
            temporary.write_text(f"{sha256}  {file.name}\n")


def _fetch(remote: Remote, remotes: Sequence[Remote], folder: Path) -> None:
    file = remote.below(folder)
    part = file.with_name(f"{file.name}.part")
    try:
        _transfer(remote.url, part)
    except (OSError, http.client.HTTPException) as error:
        missing = [(other.url, other.below(folder)) for other in remotes if not other.below(folder).exists()]
        places = ", ".join(f"{url} at {place}" for url, place in missing)
        raise UserError(
            f"cannot download {remote.url} ({_why(error)}); run again to go on, or fetch it where there is network "
            f"access: put {places}"
        ) from None
    try:
        _check(part, remote, f"{remote.url} sent another file than it publishes", f"put the right one at {file}")
    except UserError:
        part.unlink()
        raise
    sync(part)
    part.replace(file)
    _validator(part).unlink(missing_ok=True)


def _why(error: Exception) -> str:
    """A network error in words, without urllib's wrapping and the system's number."""
    reason = error.reason if type(error) is urllib.error.URLError else error
    return str(getattr(reason, "strerror", None) or reason)


def _check(file: Path, remote: Remote, what: str, remedy: str) -> None:
    if remote.md5 is None:
        return
    with file.open("rb") as stream:
        md5 = hash_of(stream, "md5")
    if md5 != remote.md5:
        raise UserError(f"{what}: its MD5 is {md5}, published is {remote.md5}; {remedy}")


def _transfer(url: str, part: Path) -> None:
    """Bring `part` to the file's full length."""
    with _response(url, part) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not resumed:
            part.unlink(missing_ok=True)
            _remember_validator(response, part)
        start = part.stat().st_size if resumed else 0
        length = response.headers["Content-Length"]
        size = None if length is None else start + int(length)
        with part.open("ab") as stream, _bar(part.stem, start, size) as advance:
            while chunk := response.read1(CHUNK):  # what has come so far: `read` would wait for a whole chunk
                stream.write(chunk)
                advance(len(chunk))
    came = part.stat().st_size
    if size is not None and came != size:
        raise ConnectionError(f"the connection ended after {came} of {size} bytes")


def _response(url: str, part: Path) -> Any:
    """What the server answers: the rest of the file where it agrees to resume, else the whole."""
    version = _remembered_version(part)
    asked = {"Range": f"bytes={part.stat().st_size}-", "If-Range": version} if version and part.exists() else {}
    request = urllib.request.Request(url, headers={"User-Agent": "miabench", **asked})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if not (asked and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise
    part.unlink()  # it has the full length already, or more: whole or not, only a new copy can tell
    return _response(url, part)


def _validator(part: Path) -> Path:
    """Where the server's word for this version of the file is kept: without it two versions could be mixed."""
    return part.with_name(f"{part.name}.version")


def _remembered_version(part: Path) -> str | None:
    """That word; None where there is none, or what is there can be no header's value."""
    try:
        version = _validator(part).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return version if version.isprintable() else None


def _remember_validator(response: Any, part: Path) -> None:
    version = response.headers["ETag"]
    if version is None or version.startswith("W/"):  # a weak one does not promise equal bytes
        version = response.headers["Last-Modified"]
    if version is None:
        _validator(part).unlink(missing_ok=True)
    else:
        _validator(part).write_text(version)


@contextmanager
def _bar(name: str, start: int, size: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error where that is a terminal; told how many bytes came."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=size, completed=start)
        yield lambda count: progress.advance(task, count)
