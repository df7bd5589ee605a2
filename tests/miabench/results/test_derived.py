"""What was computed is used again for as long as the artifacts are the same files, and for no moment longer."""

import json
import os
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter

from miabench.files import checksum as stamps
from miabench.results import derived as code
from miabench.results.derived import Derived
from miabench.store.store import Ref, Store

NUMBER = TypeAdapter(list[int])
ONE, OTHER = Ref("metrics", "1" * 32), Ref("metrics", "2" * 32)

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    put(made, ONE, 1)
    put(made, OTHER, 2)
    return made


def put(store, ref, number):
    with store.write(ref, {}) as folder:
        (folder / "rows.json").write_text(f"[{number}]")


def look(store, *refs, name="e.json", what="sum"):
    """The numbers in artifacts, 0 for one that is missing, as a process of its own would say them, and what it read."""
    derived, read = Derived(Store(store.folder, create=False), name), []

    def compute():
        own = derived._store
        read.extend(refs)
        return [sum(own.json(ref, "rows.json", NUMBER)) if own.has(ref) else 0 for ref in refs]

    value = derived.get([what], NUMBER, compute)
    derived.save()
    return SimpleNamespace(value=value, read=bool(read))


def test_the_same_files_are_not_read_again(store):
    assert [look(store, ONE, OTHER).read for _ in range(3)] == [True, False, False]
    assert look(store, ONE, OTHER).value == [1, 2]


def test_what_is_asked_for_is_part_of_the_name(store):
    assert look(store, ONE, what="sum").value == [1]
    assert look(store, OTHER, what="another").value == [2]
    assert look(store, ONE, what="sum") == SimpleNamespace(value=[1], read=False)
    assert look(store, ONE, name="another experiment.json").read


@pytest.mark.parametrize("file", ["rows.json", "manifest.json"])
def test_a_file_that_was_written_again_is_read_again(store, file):
    look(store, ONE, OTHER)
    path = store.path(OTHER) / file
    path.write_bytes(path.read_bytes())
    assert look(store, ONE, OTHER).read
    assert not look(store, ONE, OTHER).read


def test_damage_is_refused_also_where_size_and_time_are_as_before(store):
    look(store, ONE)
    path = store.path(ONE) / "rows.json"
    before = path.stat()
    path.write_text("[7]")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(code.UserError, match=r"rows\.json is damaged"):
        look(store, ONE)


def test_what_comes_later_and_what_goes_is_seen(store, tmp_path):
    late = Ref("scores", "3" * 32)
    assert look(store, ONE, late).value == [1, 0]
    assert not look(store, ONE, late).read
    put(store, late, 3)
    assert look(store, ONE, late).value == [1, 3]
    store.path(late).rename(tmp_path / "away")
    assert look(store, ONE, late).value == [1, 0]


def test_why_something_is_missing_is_seen(store):
    late = Ref("scores", "3" * 32)
    look(store, late)
    store.set_failure(late.key, "out of memory")
    assert look(store, late).read
    assert not look(store, late).read


def test_what_changes_while_it_is_read_is_read_again(store):
    derived = Derived(store, "e.json")

    def compute():
        found = store.json(ONE, "rows.json", NUMBER)
        path = store.path(ONE) / "rows.json"
        path.write_bytes(path.read_bytes())
        return found

    derived.get(["sum"], NUMBER, compute)
    derived.save()
    assert look(store, ONE).read


def test_what_was_read_before_counts_where_it_is_noted(store):
    derived = Derived(store, "e.json")
    derived.note(ONE)
    derived.get(["sum"], NUMBER, lambda: derived.note(ONE) or [1])
    derived.save()
    assert not look(store, ONE).read
    path = store.path(ONE) / "rows.json"
    path.write_bytes(path.read_bytes())
    assert look(store, ONE).read


def test_nothing_is_kept_of_what_changed_a_moment_ago(store, cache, monkeypatch):
    monkeypatch.setattr(stamps, "SETTLED", 10**12)
    look(store, ONE)
    assert not cache.exists()


def test_nothing_is_kept_of_few_artifacts(store, cache, monkeypatch):
    monkeypatch.setattr(code, "FEWEST", 2)
    look(store, ONE)
    assert not cache.exists()
    look(store, ONE, OTHER)
    assert cache.exists()


def test_values_of_changed_artifacts_go_and_others_stay(store, cache):
    look(store, ONE, what="one")
    look(store, OTHER, what="other")
    path = store.path(ONE) / "rows.json"
    path.write_bytes(path.read_bytes())
    look(store, ONE, what="third")
    assert not look(store, OTHER, what="other").read
    (file,) = cache.rglob("*.json")
    assert len(json.loads(file.read_text())["values"]) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("[1,2]", "[1,7]"),  # its checksum says so
        lambda text: '{"code": "another version", "artifacts": [], "values": {}}',
        lambda text: "",
    ],
    ids=["cut", "changed", "other code", "empty"],
)
def test_a_copy_that_is_not_as_it_was_written_is_passed_over_and_made_anew(store, cache, damage):
    look(store, ONE, OTHER)
    (file,) = cache.rglob("*.json")
    text = file.read_text()
    file.write_text(damage(text))
    assert file.read_text() != text
    assert look(store, ONE, OTHER) == SimpleNamespace(value=[1, 2], read=True)
    assert file.read_text() == text


def test_a_value_of_another_form_is_computed_again(store):
    derived = Derived(store, "e.json")
    derived.get(["sum"], TypeAdapter(str), lambda: [derived.note(ONE), "words"][1])
    derived.save()
    assert look(store, ONE) == SimpleNamespace(value=[1], read=True)


def test_what_points_at_no_artifact_is_passed_over(store, cache):
    look(store, ONE)
    (file,) = cache.rglob("*.json")
    held = code.read(file)
    value = held.values.popitem()[1]
    forged = held.model_copy(update={"values": {code.digest(["sum"]): value._replace(sources=[5])}})
    file.write_bytes(code.sealed(forged.model_dump_json().encode()))
    assert look(store, ONE) == SimpleNamespace(value=[1], read=True)


def test_a_cache_that_cannot_be_written_is_none(store, cache):
    cache.write_text("a file where the folder should be")
    assert [look(store, ONE).read for _ in range(2)] == [True, True]


def test_nothing_is_written_into_the_store(store):
    before = sorted(store.folder.rglob("*"))
    look(store, ONE, OTHER)
    assert sorted(store.folder.rglob("*")) == before
