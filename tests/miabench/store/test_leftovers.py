"""What killed processes leave is removed; what living ones write, here or in another container, never is."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from miabench.files.atomic import OLD, replace_folder
from miabench.store.store import Ref, Store

KEY = "0123456789abcdef" * 2
WRITER = """
import sys, time
from pathlib import Path
from miabench.store.store import Ref, Store
store = Store(sys.argv[1])
with store.write(Ref("scores", sys.argv[2]), {}) as folder:
    (folder / "arrays.npz").write_text("all of it")
    print("writing", flush=True)
    sys.stdin.readline()
"""
OPENER = "import sys; from miabench.store.store import Store; Store(sys.argv[1])"
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def has_containers():
    return bool(shutil.which("unshare")) and subprocess.run([*CONTAINER, "true"], capture_output=True).returncode == 0


def start(code, *arguments, container=()):
    return subprocess.Popen(
        [*container, sys.executable, "-P", "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def scores(tmp_path):
    return Store(tmp_path).room("scores")


@pytest.mark.skipif(not has_containers(), reason="needs process namespaces (unshare)")
def test_two_containers_on_one_store(tmp_path):
    """In each the writer is process 1: numbers of processes tell nothing across containers."""
    first = start(WRITER, tmp_path, KEY, container=CONTAINER)
    assert first.stdout.readline() == "writing\n"
    second = start(WRITER, tmp_path, KEY[::-1], container=CONTAINER)
    assert second.stdout.readline() == "writing\n"
    names = [path.name for path in (tmp_path / "scores").iterdir()]
    assert len(names) == 2
    assert {name.split(".")[2] for name in names} == {"1"}
    for container in (CONTAINER, ()):
        opener = start(OPENER, tmp_path, container=container)
        opener.communicate(timeout=60)
        assert opener.returncode == 0
    for writer in (first, second):
        writer.communicate("\n", timeout=60)
        assert writer.returncode == 0
    store = Store(tmp_path)
    assert all(store.has(Ref("scores", key)) for key in (KEY, KEY[::-1]))
    assert len(list((tmp_path / "scores").iterdir())) == 2


def test_what_a_killed_process_of_this_host_left_is_removed_at_once(tmp_path, scores):
    killed = start(WRITER, tmp_path, KEY)
    assert killed.stdout.readline() == "writing\n"
    Store(tmp_path)
    assert len(list(scores.iterdir())) == 1, "it still writes"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    Store(tmp_path)
    assert list(scores.iterdir()) == []


def test_a_new_process_with_an_old_number_does_not_keep_a_leftover(tmp_path, scores):
    with replace_folder(scores / KEY):
        (mine,) = scores.iterdir()
        host, pid, _, rest = mine.name[1:].split(".", 3)
        before = scores / f".{host}.{pid}.1.{rest}"
        before.mkdir()
        Store(tmp_path)
        assert mine.exists()
        assert not before.exists()


def test_of_other_hosts_what_is_old_goes(tmp_path, scores):
    folder = scores / f".elsewhere-01234567.{os.getpid()}.1.01234567.tmp"
    part = scores / f".file.elsewhere-01234567.{os.getpid()}.1.01234567.part"
    folder.mkdir()
    part.write_text("half")
    Store(tmp_path)
    assert {*scores.iterdir()} == {folder, part}, "who knows whether that process lives"
    for path in (folder, part):
        os.utime(path, (time.time() - OLD - 60,) * 2)
    Store(tmp_path)
    assert list(scores.iterdir()) == []


@pytest.mark.parametrize("name", [".something.tmp", ".~lock.tmp", ".stfolder", ".1-x.tmp", ".syncthing.a.b.c.tmp"])
def test_names_of_others_are_left_alone(tmp_path, scores, name):
    for folder in (tmp_path, scores):
        (folder / name).write_text("")
    Store(tmp_path)
    assert (tmp_path / name).exists()
    assert (scores / name).exists()


def test_a_part_of_a_killed_process_is_removed(tmp_path, scores):
    host, pid, _, rest = _name_of_a_writer(scores)[1:].split(".", 3)
    part = tmp_path / f".format.json.{host}.{pid}.1.{rest.removesuffix('.tmp')}.part"
    part.write_text("half")
    Store(tmp_path)
    assert not part.exists()


def _name_of_a_writer(folder: Path) -> str:
    with replace_folder(folder / KEY):
        (path,) = folder.iterdir()
        return path.name
