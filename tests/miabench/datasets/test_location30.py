"""Location30: the published file, from a path or downloaded once; every bad line has a message."""

import http.server
import io
import tarfile
import threading

import numpy as np
import pytest
import torch

from miabench.data import load_pool
from miabench.datasets import location30
from miabench.datasets.location30 import Location30
from miabench.errors import UserError

LABELS = np.random.default_rng(0).permutation(np.arange(5010) % 30 + 1)
BITS = np.random.default_rng(1).integers(0, 2, (5010, 446))
LINES = [f'"{label}",' + ",".join(map(str, bits)) for label, bits in zip(LABELS, BITS.tolist(), strict=True)]


def text(lines=LINES):
    return ("\n".join(lines) + "\n").encode()


def packed(content, name="bangkok"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


PACKED = packed(text())


@pytest.fixture
def load(tmp_path):
    """Load a file of some content."""

    def load(content):
        (tmp_path / "file").write_bytes(content)
        return Location30(path=tmp_path / "file").load(tmp_path / "root")

    return load


@pytest.fixture
def server(monkeypatch):
    """Answers the published address; `content` is what it sends, `asked` how often it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            content = self.server.content if self.path == "/dataset_location.tgz" else b""
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content) + self.server.missing))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.missing, server.asked = PACKED, 0, 0
        server.url = f"http://127.0.0.1:{server.server_port}/dataset_location.tgz"
        monkeypatch.setattr(location30, "URL", server.url)
        monkeypatch.setenv("no_proxy", "*")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def assert_pool(data):
    np.testing.assert_array_equal(data.x.numpy(), BITS)
    np.testing.assert_array_equal(data.y.numpy(), LABELS - 1)


@pytest.mark.parametrize("content", [text(), PACKED, text().replace(b"\n", b"\r\n")], ids=["text", "tgz", "crlf"])
def test_values_and_classes(load, content):
    data = load(content)
    assert_pool(data)
    assert data.x.dtype == torch.float32
    assert data.class_names == tuple(str(label) for label in range(1, 31))
    assert data.where[0].endswith("file, line 1")
    assert data.inputs(torch.arange(9), torch.device("cpu")).equal(data.x[:9])  # not normalised


def test_downloaded_once(server, tmp_path):
    assert_pool(Location30().load(tmp_path))
    assert (tmp_path / "location30" / "dataset_location.tgz").read_bytes() == PACKED
    assert_pool(Location30().load(tmp_path))
    assert server.asked == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["location30", "dataset_location.tgz"]


def test_not_downloaded_where_a_path_is_given(server, load):
    assert_pool(load(PACKED))
    assert server.asked == 0


def test_no_network(monkeypatch, server, tmp_path):
    closed = server.url.replace(f":{server.server_port}", ":1")
    monkeypatch.setattr(location30, "URL", closed)
    message = rf"^cannot download {closed} \(.*refused.*\); .* put it at {tmp_path}/location30/dataset_location.tgz, or"
    with pytest.raises(UserError, match=message):
        Location30().load(tmp_path)


def test_page_not_found(monkeypatch, server, tmp_path):
    monkeypatch.setattr(location30, "URL", server.url + "x")
    with pytest.raises(UserError, match=r"cannot download .* \(HTTP Error 404: Not Found\); fetch it on a machine"):
        Location30().load(tmp_path)


def test_connection_lost(server, tmp_path):
    server.missing = 100
    with pytest.raises(UserError, match=r"cannot download .* \(IncompleteRead\(\d+ bytes read, 100 more expected\)\)"):
        Location30().load(tmp_path)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("content", [b"<html>please log in</html>", PACKED[:-1000]], ids=["error page", "half a file"])
def test_what_cannot_be_read_is_not_kept(server, tmp_path, content):
    server.content = content
    with pytest.raises(UserError, match=r"http://127.0.0.1:\d+/dataset_location.tgz (has 1 lines|is damaged)"):
        Location30().load(tmp_path)
    server.content = PACKED
    assert_pool(Location30().load(tmp_path))


def changed(row, line):
    return text([*LINES[:row], line, *LINES[row + 1 :]])


BAD = {
    "too short": (text(LINES[:-2]), r"file has 5008 lines; the published file has 5010$"),
    "no quotes": (
        changed(6, LINES[6].replace('"', "")),
        r'file, line 7: the class is \d+; expected "1" to "30", in quotes',
    ),
    "no such class": (changed(6, '"31",' + LINES[6].split(",", 1)[1]), r'file, line 7: the class is "31"; expected'),
    "too wide": (changed(9, LINES[9] + ",0"), r"file, line 10: 447 features; expected 446$"),
    "not a bit": (changed(0, LINES[0][:-1] + "2"), r"file, line 1: feature 446 is '2'; expected 0 or 1$"),
    "empty": (changed(0, LINES[0][:-1]), r"file, line 1: feature 446 is ''; expected 0 or 1$"),
    "another archive": (packed(text(), "berlin"), r"file is an archive without a file `bangkok`$"),
    "cut off": (PACKED[:2000], r"file is damaged or cut off: \w+"),
    "damaged": (PACKED[:100] + bytes(2000) + PACKED[2100:], r"file is damaged or cut off: \w+"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file(load, case):
    content, message = BAD[case]
    with pytest.raises(UserError, match=message):
        load(content)


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*absent.tgz: No such file or directory$"):
        Location30(path=tmp_path / "absent.tgz").load(tmp_path)


def test_home(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(PACKED)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_pool(Location30(path="~/file").load(tmp_path))


def test_the_published_file(shared_data, tmp_path):
    if not (path := shared_data / "location30.tgz").exists():
        pytest.skip("needs location30.tgz")
    data = load_pool(Location30(path=path), tmp_path)
    assert data.x.shape == (5010, 446)
    assert data.y[0] == 12  # the first line starts "13",0,1,0,1,0
    assert data.x[0, :5].tolist() == [0, 1, 0, 1, 0]
    assert len(data.y.bincount()) == 30
    assert (data.y.bincount().min(), data.y.bincount().max()) == (97, 308)
    assert data.duplicates == 0
