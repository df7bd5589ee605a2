"""What is renamed into place is on the disk before, and its name after."""

import os
from pathlib import Path

import pytest

from miabench.files.atomic import replace_file, replace_folder


@pytest.fixture
def happened(monkeypatch):
    """What became of files below a folder, in order: which were synced, which were renamed."""
    found = []

    def noted(method):
        real = getattr(Path, method)
        return lambda path, to: [found.append(("rename", _inode(path))), real(path, to)][1]

    monkeypatch.setattr(os, "fsync", lambda descriptor: found.append(("sync", _inode(os.fstat(descriptor)))))
    for method in ("rename", "replace"):
        monkeypatch.setattr(Path, method, noted(method))
    return found


def _inode(what):
    return (what if isinstance(what, os.stat_result) else what.stat()).st_ino


def test_a_file_is_synced_before_it_is_renamed(tmp_path, happened):
    with replace_file(tmp_path / "file") as temporary:
        temporary.write_text("new")
    own = _inode(tmp_path / "file")
    assert happened == [("sync", own), ("rename", own)]


def test_a_folder_and_its_files_are_synced_before_it_is_renamed_and_its_name_after(tmp_path, happened):
    for _ in range(2):
        happened.clear()
        with replace_folder(tmp_path / "folder") as temporary:
            (temporary / "a").write_text("a")
            (temporary / "b").write_text("b")
        folder = tmp_path / "folder"
        own = _inode(folder)
        assert {*happened[:2]} == {("sync", _inode(folder / name)) for name in "ab"}
        assert happened[2] == ("sync", own)
        assert happened[-2:] == [("rename", own), ("sync", _inode(tmp_path))]
