"""Location30: the published file, from a path or downloaded once; every bad line has a message."""

import numpy as np
import pytest
import torch

from miabench.datasets import _binary_rows
from miabench.datasets.location30 import Location30
from miabench.errors import UserError

LABELS = np.random.default_rng(0).permutation(np.arange(5010) % 30 + 1)
BITS = np.random.default_rng(1).integers(0, 2, (5010, 446))
LINES = [f'"{label}",' + ",".join(map(str, bits)) for label, bits in zip(LABELS, BITS.tolist(), strict=True)]


def text(lines=LINES):
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def archive(packed):
    return packed({"bangkok": text()})


@pytest.fixture
def load(tmp_path):
    """Load a file of some content."""

    def load(content):
        (tmp_path / "file").write_bytes(content)
        return Location30(path=tmp_path / "file").load(tmp_path / "root")

    return load


@pytest.fixture
def published(server, archive, monkeypatch):
    """The server, at the published address."""
    server.files["/dataset_location.tgz"] = archive
    monkeypatch.setattr(_binary_rows, "REPOSITORY", server.url)
    return server


def assert_pool(data):
    np.testing.assert_array_equal(data.x.numpy(), BITS)
    np.testing.assert_array_equal(data.y.numpy(), LABELS - 1)


@pytest.mark.parametrize("form", ["text", "crlf", "tgz", "./ before the name"])
def test_values_and_classes(load, packed, form):
    forms = {
        "text": text(),
        "crlf": text().replace(b"\n", b"\r\n"),
        "tgz": packed({"README": b"more", "bangkok": text()}),
        "./ before the name": packed({"./bangkok": text()}),
    }
    data = load(forms[form])
    assert_pool(data)
    assert data.x.dtype == torch.float32
    assert data.class_names == tuple(str(label) for label in range(1, 31))
    assert data.where[0].endswith("file, line 1")
    assert data.inputs(torch.arange(9), torch.device("cpu")).equal(data.x[:9])  # not normalised


def test_downloaded_once(published, archive, tmp_path):
    for _ in range(2):
        assert_pool(Location30().load(tmp_path))
    file = tmp_path / "location30" / "dataset_location.tgz"
    assert file.read_bytes() == archive
    assert file.with_name("dataset_location.tgz.sha256").exists()
    assert len(published.asked) == 1


def test_not_downloaded_where_a_path_is_given(published, archive, load):
    assert_pool(load(archive))
    assert published.asked == []


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(_binary_rows, "REPOSITORY", "http://127.0.0.1:1")
    url = "http://127.0.0.1:1/dataset_location.tgz"
    message = rf"^cannot download {url} \(.*refused.*\); .*: put {url} at {tmp_path}/location30/dataset_location.tgz$"
    with pytest.raises(UserError, match=message):
        Location30().load(tmp_path)


@pytest.mark.parametrize("wrong", ["error page", "half a file"])
def test_what_cannot_be_read_is_not_kept(published, archive, tmp_path, wrong):
    content, why = {
        "error page": (
            b"<html>please log in</html>",
            'line 1: the class is <html>please log in<; expected "1" to "30"',
        ),
        "half a file": (archive[:-1000], "is damaged or cut off"),
    }[wrong]
    published.files["/dataset_location.tgz"] = content
    with pytest.raises(
        UserError, match=rf"/dataset_location.tgz sent a wrong file, not kept \(.*{why}.*\); put the right"
    ):
        Location30().load(tmp_path)
    published.files["/dataset_location.tgz"] = archive
    assert_pool(Location30().load(tmp_path))


def test_changed_since_its_first_use(published, archive, packed, tmp_path):
    Location30().load(tmp_path)
    (tmp_path / "location30" / "dataset_location.tgz").write_bytes(packed({"bangkok": text(LINES[::-1])}))
    with pytest.raises(UserError, match=r"dataset_location.tgz has changed since its first use: its SHA-256 is "):
        Location30().load(tmp_path)


def changed(row, line):
    return text([*LINES[:row], line, *LINES[row + 1 :]])


BAD = {
    "too short": (text(LINES[:-2]), r"file has 5008 lines; the published file has 5010$"),
    "no quotes": (
        changed(6, LINES[6].replace('"', "")),
        r'file, line 7: the class is \d+; expected "1" to "30"',
    ),
    "no such class": (changed(6, '"31",' + LINES[6].split(",", 1)[1]), r'file, line 7: the class is "31"; expected'),
    "too wide": (changed(9, LINES[9] + ",0"), r"file, line 10: 447 features; expected 446$"),
    "not a bit": (changed(0, LINES[0][:-1] + "2"), r"file, line 1: feature 446 is '2'; expected 0 or 1$"),
    "empty": (changed(0, LINES[0][:-1]), r"file, line 1: feature 446 is ''; expected 0 or 1$"),
    "too long": (text([*LINES, LINES[0]]), r"file has 5011 lines; the published file has 5010$"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file(load, case):
    content, message = BAD[case]
    with pytest.raises(UserError, match=message):
        load(content)


def test_bad_archive(load, archive, packed):
    with pytest.raises(UserError, match=r"file is an archive without a file `bangkok`$"):
        load(packed({"berlin": text()}))
    for content in (archive[:2000], archive[:-9], archive[:100] + bytes(2000) + archive[2100:]):
        with pytest.raises(UserError, match=r"file is damaged or cut off: \w+"):
            load(content)


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*absent.tgz: No such file or directory$"):
        Location30(path=tmp_path / "absent.tgz").load(tmp_path)


def test_home(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(text())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_pool(Location30(path="~/file").load(tmp_path))


def test_the_published_file(shared_data, tmp_path):
    if not (path := shared_data / "location30.tgz").exists():
        pytest.skip("needs location30.tgz")
    data = Location30(path=path).pool(tmp_path)
    assert data.x.shape == (5010, 446)
    assert data.y[0] == 12  # the first line starts "13",0,1,0,1,0
    assert data.x[0, :5].tolist() == [0, 1, 0, 1, 0]
    assert len(data.y.bincount()) == 30
    assert (data.y.bincount().min(), data.y.bincount().max()) == (97, 308)
    assert data.duplicates == 0
