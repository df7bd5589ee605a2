"""A lock is held by one, ends with its holder, and leaves no file."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from miabench.files.lock import LockedError, is_locked, lock

HOLDER = """
import sys, time
from pathlib import Path
from miabench.files.lock import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_holds_it_and_its_file_goes_with_it(tmp_path):
    path = tmp_path / "job.lock"
    assert not is_locked(path)
    with lock(path):
        assert is_locked(path)
        with pytest.raises(LockedError), lock(path, wait=False):
            pass
        assert path.exists()
    assert not is_locked(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_holder_left_is_no_lock(tmp_path):
    path = tmp_path / "job.lock"
    holder = subprocess.Popen([sys.executable, "-P", "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    assert is_locked(path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert path.exists()
    assert not is_locked(path)
    with lock(path, wait=False):
        pass
    assert not path.exists()


def test_of_many_that_come_and_go_one_at_a_time_is_inside(tmp_path):
    path, inside, most = tmp_path / "job.lock", [], []

    def come_and_go(_):
        with lock(path):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(400)))
    assert set(most) == {1}
    assert len(most) == 400


def test_who_waited_for_a_file_that_is_gone_locks_the_one_of_today(tmp_path):
    path, held, done = tmp_path / "job.lock", threading.Event(), threading.Event()

    def wait_and_hold():
        with lock(path):
            held.set()
            done.wait(60)

    waiter = threading.Thread(target=wait_and_hold)
    with lock(path):
        waiter.start()
        time.sleep(0.3)  # it waits for this file, which goes when the lock is released
    assert held.wait(60)
    try:
        with pytest.raises(LockedError), lock(path, wait=False):
            pass
    finally:
        done.set()
        waiter.join()


@pytest.mark.parametrize("there", [False, True])
def test_a_link_is_not_locked(tmp_path, there):
    link, elsewhere = tmp_path / "job.lock", tmp_path / "elsewhere"
    link.symlink_to(elsewhere)
    if there:
        elsewhere.touch()
    holder = subprocess.run(  # a process, as one that followed the link would go round for ever
        [sys.executable, "-P", "-c", HOLDER, str(link)], capture_output=True, text=True, timeout=30
    )
    assert "symbolic links" in holder.stderr
    assert elsewhere.exists() == there
    assert link.is_symlink()
