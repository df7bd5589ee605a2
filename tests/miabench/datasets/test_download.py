"""Downloads: resumed where that is safe, checked, whole or not at all; every failure says which file to put where."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from rich.console import Console

from miabench.errors import UserError
from miabench.files import download as module
from miabench.files.download import Remote, download, trust_on_first_use

CONTENT = np.random.default_rng(0).bytes(1_000_000)
OTHER = CONTENT[::-1]


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def remote(server):
    server.files["/a/data.bin"] = CONTENT
    return Remote(f"{server.url}/a/data.bin", md5(CONTENT))


def broken_off(server, remote, folder, after=300_000):
    """A first attempt of which only some bytes come."""
    server.break_after = after
    with pytest.raises(
        UserError, match=rf"cannot download {remote.url} \(.*ended after {after} of {len(CONTENT)} bytes"
    ):
        download([remote], folder)
    server.break_after = None
    assert (folder / "data.bin.part").read_bytes() == CONTENT[:after]
    assert not (folder / "data.bin").exists()


def names(folder):
    return {path.name for path in folder.iterdir()} - {"download.lock"}


def test_fetched_once(server, remote, tmp_path):
    folder = tmp_path / "not" / "there"
    for _ in range(2):
        assert download([remote], folder) == [folder / "data.bin"]
        assert (folder / "data.bin").read_bytes() == CONTENT
    assert server.asked == [("/a/data.bin", None)]
    assert names(folder) == {"data.bin"}


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_resumed(server, remote, tmp_path, header):
    server.version_header = header
    broken_off(server, remote, tmp_path)
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.asked == [("/a/data.bin", None), ("/a/data.bin", "bytes=300000-")]
    assert names(tmp_path) == {"data.bin"}


def test_resumed_twice(server, remote, tmp_path):
    broken_off(server, remote, tmp_path, 300_000)
    broken_off(server, remote, tmp_path, 600_000)
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-", "bytes=600000-"]


def test_a_server_without_ranges_sends_it_all_again(server, remote, tmp_path):
    broken_off(server, remote, tmp_path)
    server.ranges = False
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("version", [None, 'W/"weak"'])
def test_not_resumed_where_the_server_names_no_version(server, remote, tmp_path, version):
    server.version = version
    broken_off(server, remote, tmp_path)
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, None]


def test_two_versions_are_not_mixed(server, tmp_path):
    server.files["/data.bin"] = CONTENT
    remote = Remote(f"{server.url}/data.bin")
    broken_off(server, remote, tmp_path)
    server.files["/data.bin"], server.version = OTHER, '"second"'
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == OTHER


def test_killed_after_the_last_byte(server, remote, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    (tmp_path / "data.bin.part.version").write_text(server.version)
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["bytes=1000000-", None]


def test_a_killed_download_is_resumed(server, remote, tmp_path):
    server.break_after = 600_000
    server.release.clear()
    call = f"download([{remote!r}], Path({str(tmp_path)!r}))"
    code = f"from pathlib import Path; from miabench.files.download import *; {call}"
    with subprocess.Popen([sys.executable, "-P", "-c", code], env={**os.environ, "no_proxy": "*"}) as process:
        assert server.stalled.wait(60)
        part = tmp_path / "data.bin.part"
        came = 600_000 - 2 * io.DEFAULT_BUFFER_SIZE  # all but what a buffer may hold: no waiting for whole chunks
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= came):
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
    server.release.set()
    server.break_after = None
    had = part.stat().st_size
    assert came <= had < len(CONTENT)
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/a/data.bin", f"bytes={had}-")


def test_a_file_of_unknown_length(server, remote, tmp_path):
    server.length = False
    download([remote], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_many_at_once_fetch_once(server, remote, tmp_path):
    threads = [threading.Thread(target=download, args=([remote], tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_wrong_checksum(server, remote, tmp_path):
    server.files["/a/data.bin"] = b"please log in"
    message = (
        rf"^{remote.url} sent another file than it publishes: its MD5 is {md5(b'please log in')}, "
        rf"published is {remote.md5}; put the right one at {tmp_path}/data.bin$"
    )
    with pytest.raises(UserError, match=message):
        download([remote], tmp_path)
    assert not {"data.bin", "data.bin.part"} & names(tmp_path)
    server.files["/a/data.bin"] = CONTENT
    download([remote], tmp_path)
    assert [asked for _, asked in server.asked] == [None, None]


def test_wrong_file_put_there(server, remote, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    message = (
        rf"^{tmp_path}/data.bin is not the file that {remote.url} publishes: its MD5 is .*; delete it or replace it$"
    )
    with pytest.raises(UserError, match=message):
        download([remote], tmp_path)
    assert server.asked == []


def test_no_network_names_all_that_is_missing(server, tmp_path):
    closed = "http://127.0.0.1:1"
    remotes = [Remote(f"{closed}/{name}.bin", md5(CONTENT)) for name in "abc"]
    (tmp_path / "b.bin").write_bytes(CONTENT)
    message = (
        rf"^cannot download {closed}/a.bin \(Connection refused\); run again to go on, or fetch it where there is "
        rf"network access: put {closed}/a.bin at {tmp_path}/a.bin, {closed}/c.bin at {tmp_path}/c.bin$"
    )
    with pytest.raises(UserError, match=message):
        download(remotes, tmp_path)


def test_page_not_found(server, tmp_path):
    with pytest.raises(UserError, match=r"cannot download .*/x.bin \(HTTP Error 404: Not Found\); run again"):
        download([Remote(f"{server.url}/x.bin")], tmp_path)


def test_folder_that_cannot_be(server, remote, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    message = rf"^cannot keep downloads in {tmp_path}/file/below: Not a directory; choose another .* with --data-root$"
    with pytest.raises(UserError, match=message):
        download([remote], tmp_path / "file" / "below")


def test_checksum_recorded_at_first_use(server, remote, tmp_path):
    remote = Remote(remote.url)
    for _ in range(2):
        with trust_on_first_use(remote, tmp_path) as file:
            assert file.read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "data.bin.sha256").read_text() == f"{digest}  data.bin\n"
    file.write_bytes(OTHER)
    message = (
        rf"^{tmp_path}/data.bin has changed since its first use: its SHA-256 is {hashlib.sha256(OTHER).hexdigest()}, "
        rf"recorded in {tmp_path}/data.bin.sha256 is {digest}; put the first file back, or delete both to start anew$"
    )
    with pytest.raises(UserError, match=message), trust_on_first_use(remote, tmp_path):
        pytest.fail("it must not be used")


def test_what_is_refused_is_not_kept(server, remote, tmp_path):
    message = rf"^{remote.url} sent a wrong file, not kept \(no good\); put the right one at {tmp_path}/data.bin$"
    with pytest.raises(UserError, match=message), trust_on_first_use(Remote(remote.url), tmp_path):
        raise UserError("no good")
    assert names(tmp_path) == set()


def test_a_users_own_file_is_never_removed(server, remote, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    with pytest.raises(UserError, match=r"^no good$"), trust_on_first_use(Remote(remote.url), tmp_path):
        raise UserError("no good")
    assert names(tmp_path) == {"data.bin"}


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(remote, tmp_path, monkeypatch, capfd, terminal):
    shown = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=shown, force_terminal=terminal, width=100))
    download([remote], tmp_path)
    assert ("data.bin" in shown.getvalue() and "1.0/1.0 MB" in shown.getvalue()) == terminal
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_standard_error(monkeypatch):
    seen = {}
    monkeypatch.setattr(module, "Console", lambda **options: seen.update(options) or Console(file=io.StringIO()))
    with module._bar("data.bin", 0, None):
        assert seen["file"] is sys.stderr
