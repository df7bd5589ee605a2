"""What was computed from an experiment's artifacts, kept for the next report as long as these are the same files.

A report of a thousand cells opens a hundred thousand files, and most of its time goes there. What came of them is kept
in one file for each experiment and store, in the cache folder of whoever looks: a report writes nothing into a store.
The file may be deleted at any time, and one that is damaged, or that other code wrote, is passed over.

A value is used again only where each artifact that somebody asked for while it was computed looks from outside as it
did then: names of its files, sizes, times and inodes. What changed a moment ago may change once more and look the same,
so nothing is kept of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from platformdirs import user_cache_path
from pydantic import BaseModel, TypeAdapter, ValidationError

from miabench.errors import UserError
from miabench.files.atomic import remove_leftovers, replace_file, write_file
from miabench.files.checksum import is_settled, stamp_of
from miabench.files.json import read_json, sealed
from miabench.store.store import MANIFEST_FILE, Ref, Store, digest

FOLDER = "reports"  # of the cache
FEWEST = 500  # artifacts; fewer are read in a moment
REMEDY = "remove it: it is made anew"
LIBRARIES = ("numpy", "scipy")  # that make numbers

T = TypeVar("T")


class Look(NamedTuple):
    """How an artifact looks from outside.

    Attributes:
        files: names, that of the manifest among them though it may not be there.
        stamps: what changes when one of them is written, as text.
    """

    files: tuple[str, ...]
    stamps: str


class Value(NamedTuple):
    """What was computed.

    Attributes:
        sources: positions of the artifacts that it was computed from.
        content: as JSON.
    """

    sources: list[int]
    content: Any


class Held(BaseModel, frozen=True, extra="forbid"):
    """What the file holds.

    Attributes:
        code: which computed it.
        artifacts: kind and key of each, and how it looked then.
        values: by the digest of what they are.
    """

    code: str
    artifacts: list[tuple[Ref, Look]] = []
    values: dict[str, Value] = {}


HELD = TypeAdapter(Held)


class Derived:
    """What was computed from artifacts of a store.

    Args:
        store: whose artifacts.
        name: of the file.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._path = user_cache_path("miabench") / FOLDER / digest(str(store.folder)) / name
        self._held = _usable(self._path)
        self._looks: dict[Ref, Look] = {}  # when each artifact was first asked for
        self._unsettled: set[Ref] = set()
        self._asked: set[Ref] | None = None  # while something is computed
        self._new: dict[str, tuple[set[Ref], Any]] = {}

    def get(self, what: Sequence[Any], form: TypeAdapter[T], compute: Callable[[], T]) -> T:
        """A value as it was computed from the same files, or else computed now.

        Args:
            what: it is, as JSON: all that it depends on beside the artifacts that are asked of the store.
            form: of the value, which JSON can hold.
            compute: the value, from artifacts of the store.
        """
        key = digest(what)
        found = self._held.values.get(key)
        if found is not None and all(map(self._is_same, found.sources)):
            with suppress(ValidationError):
                return form.validate_python(found.content)
        with self._watched() as asked:
            value = compute()
        if not asked & self._unsettled:
            self._new[key] = asked, form.dump_python(value, mode="json")
        return value

    def save(self) -> None:
        """Keep what is new, where the cache can be written."""
        if len(set().union(*(asked for asked, _ in self._new.values()))) < FEWEST:
            return
        held = self._held
        changed = {i for i, (ref, look) in enumerate(held.artifacts) if self._looks.get(ref, look) != look}
        values = {
            key: (one.sources, one.content)
            for key, one in held.values.items()
            if key not in self._new and changed.isdisjoint(one.sources)
        }
        artifacts = [(ref, self._looks.get(ref, look)) for ref, look in held.artifacts]
        places = {ref: i for i, (ref, _) in enumerate(artifacts)}
        for key, (asked, content) in self._new.items():
            for ref in sorted(ref for ref in asked if ref not in places):
                places[ref] = len(artifacts)
                artifacts.append((ref, self._looks[ref]))
            values[key] = sorted(places[ref] for ref in asked), content
        self._held = Held.model_construct(code=held.code, artifacts=artifacts, values=_values(values))
        self._new.clear()
        with suppress(OSError):  # what cannot be kept is computed again
            self._path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._path.parent)
            with replace_file(self._path) as temporary:
                write_file(temporary, sealed(self._held.model_dump_json().encode()))

    @contextmanager
    def _watched(self) -> Iterator[set[Ref]]:
        """The artifacts that are asked for in a block of `with`."""
        before = self._asked, self._store.on_asked
        asked = set[Ref]()
        self._asked, self._store.on_asked = asked, self.note
        try:
            yield asked
        finally:
            self._asked, self._store.on_asked = before

    def note(self, ref: Ref) -> None:
        """Say that what is being computed is made from an artifact, which may have been read before.

        How it looks is seen before it is read: if it changes then, it looks otherwise next time.
        """
        if ref not in self._looks:
            self._look(ref, _files(self._store.path(ref)))
        if self._asked is not None:
            self._asked.add(ref)

    def _is_same(self, source: int) -> bool:
        """Whether an artifact still looks as it did."""
        ref, look = self._held.artifacts[source]
        if ref not in self._looks:
            self._look(ref, look.files)
            if self._looks[ref] != look:
                self._look(ref, _files(self._store.path(ref)))
        return self._looks[ref] == look

    def _look(self, ref: Ref, files: tuple[str, ...]) -> None:
        folder = f"{self._store.folder}/{ref.kind}/{ref.key}"
        stamps = tuple([stamp_of(f"{folder}/{name}") for name in files])
        if stamps[files.index(MANIFEST_FILE)] is None:  # why it is not there may be shown
            stamps = (*stamps, stamp_of(f"{self._store.folder}/failures/{ref.key}.json"))
        if not is_settled(stamps):
            self._unsettled.add(ref)
        self._looks[ref] = Look(files, str(stamps))


def _values(values: Mapping[str, tuple[list[int], Any]]) -> dict[str, Value]:
    return {key: Value(*value) for key, value in values.items()}


def read(path: Path) -> Held:
    """What a file holds.

    Raises:
        UserError: it is damaged.
    """
    held = read_json(path, HELD, REMEDY)
    if any(not 0 <= i < len(held.artifacts) for one in held.values.values() for i in one.sources):
        raise UserError(f"{path} is damaged (a value is of artifacts that it does not have); {REMEDY}")
    return held


def _usable(path: Path) -> Held:
    """What a file holds; nothing where it is not there, damaged, or other code's."""
    with suppress(UserError):
        held = read(path)
        if held.code == _code():
            return held
    return Held(code=_code())


def _files(folder: Path) -> tuple[str, ...]:
    with suppress(OSError):
        return tuple(sorted({MANIFEST_FILE, *(file.name for file in folder.iterdir())}))
    return (MANIFEST_FILE,)


@cache
def _code() -> str:
    """What computes: this package's source text, and the libraries."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    return digest([texts, [version(name) for name in LIBRARIES]])
