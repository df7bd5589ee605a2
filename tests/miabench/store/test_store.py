"""Artifacts appear whole or not at all, and what is damaged is never used."""

import errno
import io
import json
import os
import resource
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import TypeAdapter

import miabench
from miabench.files.atomic import replace_folder, write_file
from miabench.files.lock import LockedError
from miabench.files.npz import write_npz
from miabench.store.store import Ref, Store, digest

REF = Ref("scores", "abc0" * 8)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def put(store, ref=REF):
    with store.write(ref, {"spec": {"a": 1}}) as folder:
        np.savez(folder / "arrays.npz", x=np.arange(3), y=np.arange(2))
        (folder / "rows.json").write_text("[1, 2]")


def test_write_then_read(store):
    assert not store.has(REF)
    put(store)
    assert store.has(REF)
    assert {name: values.tolist() for name, values in store.arrays(REF).items()} == {"x": [0, 1, 2], "y": [0, 1]}
    assert list(store.arrays(REF, "y")) == ["y"]
    assert store.json(REF, "rows.json", TypeAdapter(list[int])) == [1, 2]
    assert store.manifest(REF).spec == {"a": 1}
    assert set(store.manifest(REF).files) == {"arrays.npz", "rows.json"}


def test_an_error_while_writing_leaves_nothing(store):
    def fail():
        with store.write(REF, {}) as folder:
            (folder / "arrays.npz").write_text("half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert not store.has(REF)
    assert list((store.folder / "scores").iterdir()) == []


def test_a_killed_writer_leaves_nothing_that_counts_and_is_cleaned_up(store):
    code = (
        "import os, sys\nfrom miabench.store.store import Ref, Store\n"
        "with Store(sys.argv[1]).write(Ref('scores', 'abc0' * 8), {}) as folder:\n"
        "    (folder / 'arrays.npz').write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, str(store.folder)])
    assert done.returncode == -9
    assert not store.has(REF)
    assert len(list((store.folder / "scores").iterdir())) == 1
    Store(store.folder)
    assert list((store.folder / "scores").iterdir()) == []


def test_another_living_process_keeps_its_temporary_folder(store):
    with replace_folder(store.folder / "scores" / "mine"):
        (mine,) = (store.folder / "scores").iterdir()
        Store(store.folder)
        assert mine.exists()


READERS = {
    "arrays.npz": [
        Store.file,
        lambda store, ref, name: store.arrays(ref),
        lambda store, ref, name: store.arrays(ref, "x"),
    ],
    "rows.json": [Store.file, lambda store, ref, name: store.json(ref, name, TypeAdapter(list[int]))],
}


@pytest.mark.parametrize(("name", "read"), [(name, read) for name, readers in READERS.items() for read in readers])
def test_a_damaged_file_is_not_used(store, name, read):
    put(store)
    path = store.path(REF) / name
    whole = path.read_bytes()
    read(store, REF, name)
    for damaged in (whole[:-1] + b" ", b""):
        path.write_bytes(damaged)
        with pytest.raises(miabench.UserError, match=rf"{name} is damaged; remove the folder .*abc0 and run again"):
            read(store, REF, name)
    path.unlink()
    with pytest.raises(miabench.UserError, match=rf"{name} is damaged"):
        read(store, REF, name)


def test_nothing_is_unpickled(store):
    with store.write(REF, {}) as folder:
        np.savez(folder / "arrays.npz", x=np.array([{"code": 1}], dtype=object))
    with pytest.raises(miabench.UserError, match=r"arrays\.npz is not an npz file of plain arrays: .*allow_pickle"):
        store.arrays(REF)


def test_keys_depend_on_content_only():
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.0000001})
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"a": float("nan")})


def test_ids_are_kept_under_their_hash(store):
    ids = np.array([5, 3, 9])
    assert store.ids(store.put_ids(ids)).tolist() == [5, 3, 9]
    assert store.put_ids(ids) == store.put_ids(ids.astype(np.int32))
    assert store.put_ids(ids) != store.put_ids(ids[::-1])


def flipped(path, at):
    """The file with one bit of one byte changed."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << at % 8
    path.write_bytes(content)


def test_a_damaged_list_gives_no_other_rows(store):
    rows = np.random.default_rng(0).permutation(40)
    name = store.put_ids(rows)
    path = store.folder / "ids" / f"{name}.npy"
    whole = path.read_bytes()
    np.testing.assert_array_equal(np.load(path), rows)
    header = len(whole) - rows.nbytes
    refused = set()
    for at in range(len(whole)):
        path.write_bytes(whole)
        flipped(path, at)
        try:
            read = store.ids(name)
        except miabench.UserError:
            refused.add(at)
        else:
            assert read.dtype == np.int64
            np.testing.assert_array_equal(read, rows)
    assert refused >= set(range(header, len(whole))), "the rows themselves"
    for damaged in [*(whole[:size] for size in range(0, len(whole), 7)), whole + b"\0"]:
        path.write_bytes(damaged)
        with pytest.raises(miabench.UserError, match=rf"{name}.npy is missing or damaged; run again: it is made anew"):
            store.ids(name)
    path.unlink()
    with pytest.raises(miabench.UserError, match=rf"{name}.npy is missing or damaged"):
        store.ids(name)


@pytest.mark.parametrize(
    "damaged", [lambda whole: whole[:-1] + b"!", lambda whole: whole[:-8], lambda whole: b"", None]
)
def test_a_damaged_list_is_made_anew(store, damaged):
    rows = np.arange(40)
    name = store.put_ids(rows)
    path = store.folder / "ids" / f"{name}.npy"
    whole = path.read_bytes()
    if damaged is None:
        path.unlink()
    else:
        path.write_bytes(damaged(whole))
    assert Store(store.folder).put_ids(rows) == name
    assert path.read_bytes() == whole


def test_a_list_is_compared_once(store, monkeypatch):
    store.put_ids(np.arange(5))
    monkeypatch.setattr(Path, "read_bytes", None)
    store.put_ids(np.arange(5))


@contextmanager
def room(size):
    """No file may grow beyond so many bytes: what a write says then is what a full disk says."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n", [3, 60, 1000])
def test_a_list_that_does_not_fit_is_never_taken_for_whole(tmp_path, n):
    rows = np.arange(n)
    whole = Store(tmp_path / "whole")
    name = whole.put_ids(rows)
    size = (whole.folder / "ids" / f"{name}.npy").stat().st_size
    store = Store(tmp_path / "store")
    for limit in {0, 1, 100, 128, 129, size // 2, size - 8, size - 1}:
        with room(limit), pytest.raises(OSError, match="File too large"):
            store.put_ids(rows)
        assert list((store.folder / "ids").iterdir()) == []
    with room(size):
        assert store.put_ids(rows) == name
    np.testing.assert_array_equal(store.ids(name), rows)


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_arrays_that_do_not_fit_complete_nothing(store, size):
    """A file that is cut off must not get a checksum of its own."""
    arrays = {"x": np.arange(size), "y": np.ones(2)}
    write_npz(store.folder / "arrays.npz", arrays)
    whole = (store.folder / "arrays.npz").stat().st_size

    def write():
        with store.write(REF, {}) as folder:
            write_npz(folder / "arrays.npz", arrays)

    for limit in {0, 1, whole // 2, whole - 22, whole - 1}:
        with room(limit), pytest.raises(OSError, match="File too large"):
            write()
        assert not store.has(REF)
        assert list((store.folder / "scores").iterdir()) == []
    write()
    np.testing.assert_array_equal(store.arrays(REF)["x"], arrays["x"])


def test_what_the_system_takes_in_parts_is_written_whole(tmp_path, monkeypatch):
    def opened(path, mode, buffering):
        assert (mode, buffering) == ("wb", 0)
        file = io.FileIO(path, "w")
        return SimpleNamespace(write=lambda content: file.write(content[:3]), close=file.close)

    monkeypatch.setattr(Path, "open", lambda *arguments, **more: closing(opened(*arguments, **more)))
    write_file(tmp_path / "file", b"0123456789")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_lock_is_held_by_one(store):
    with store.lock("job"):
        assert store.is_locked("job")
        with pytest.raises(LockedError), Store(store.folder).lock("job", wait=False):
            pass
    assert not store.is_locked("job")
    assert list((store.folder / "locks").iterdir()) == [], "it is removed when it is released"


def test_failures_are_remembered_and_forgotten(store):
    assert store.failure("job") is None
    store.set_failure("job", "why\nnot")
    assert store.failure("job") == "why\nnot"
    store.set_failure("job", None)
    assert store.failure("job") is None


def test_replacing_a_folder(tmp_path):
    for text in ("old", "new"):
        with replace_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text(text)
    assert (tmp_path / "folder" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_store_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        miabench.UserError, match=r"cannot make the store .*: Not a directory; choose another with --store"
    ):
        Store(tmp_path / "file" / "store")
    with pytest.raises(miabench.UserError, match=r"the store .*file is a file; choose a folder with --store"):
        Store(tmp_path / "file")


def test_reading_makes_no_store_and_needs_no_permission_to_write(tmp_path, monkeypatch):
    with pytest.raises(miabench.UserError, match=r"there is no store .*none; choose another with --store"):
        Store(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    put(Store(tmp_path / "store"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert Store(tmp_path / "store", create=False).arrays(REF)["x"].tolist() == [0, 1, 2]
    with pytest.raises(miabench.UserError, match="cannot write to the store"):
        Store(tmp_path / "store")


def test_manifests_are_json(store):
    put(store)
    assert json.loads((store.path(REF) / "manifest.json").read_text())["kind"] == "scores"


def test_a_reason_that_does_not_fit_on_the_disk_leaves_none(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.set_failure("key", "it broke")
    assert store.failure("key") == "it broke"

    def half(path, content):
        path.write_bytes(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("miabench.store.store.write_file", half)
    with pytest.raises(OSError, match="No space left"):
        store.set_failure("other", "it broke too")
    assert store.failure("other") is None
