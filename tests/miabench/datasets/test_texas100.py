"""Texas100 from a tiny archive of the published layout: features and classes are two files."""

import numpy as np
import pytest
import torch

from miabench.datasets import _binary_rows, texas100
from miabench.datasets.texas100 import Texas100
from miabench.errors import UserError

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(np.arange(110) % 100 + 1)
BITS = RANDOM.integers(0, 2, (110, 6169))
FEATS = "".join(",".join(map(str, bits)) + "\n" for bits in BITS.tolist()).encode()
CLASSES = "".join(f"{label}\n" for label in LABELS).encode()
FILES = {"texas/100/feats": FEATS, "texas/100/labels": CLASSES}


@pytest.fixture(autouse=True)
def published(server, packed, monkeypatch):
    server.files["/dataset_texas.tgz"] = packed(FILES)
    monkeypatch.setattr(_binary_rows, "REPOSITORY", server.url)
    monkeypatch.setattr(texas100, "RECORDS", 110)


@pytest.fixture
def load(tmp_path, packed):
    """Load an archive with other files in it."""

    def load(**files):
        (tmp_path / "file").write_bytes(packed(FILES | {f"texas/100/{name}": text for name, text in files.items()}))
        return Texas100(path=tmp_path / "file").load(tmp_path / "root")

    return load


def test_values_and_classes(tmp_path):
    data = Texas100().pool(tmp_path)
    np.testing.assert_array_equal(data.x.numpy(), BITS)
    np.testing.assert_array_equal(data.y.numpy(), LABELS - 1)
    assert data.x.dtype == torch.uint8
    assert data.class_names == tuple(str(label) for label in range(1, 101))
    assert data.inputs(torch.arange(110), torch.device("cpu")).equal(data.x.float())  # not normalised


def test_either_file_first(tmp_path, packed):
    (tmp_path / "file").write_bytes(packed(dict(reversed(FILES.items()))))
    data = Texas100(path=tmp_path / "file").load(tmp_path / "root")
    np.testing.assert_array_equal(data.x.numpy(), BITS)
    np.testing.assert_array_equal(data.y.numpy(), LABELS - 1)


def test_downloaded_and_decoded_once(server, tmp_path, monkeypatch):
    first = Texas100().load(tmp_path)
    monkeypatch.setattr(texas100, "_decode", lambda _: pytest.fail("decoded again"))
    assert Texas100().load(tmp_path).x.equal(first.x)
    assert len(server.asked) == 1


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(_binary_rows, "REPOSITORY", "http://127.0.0.1:1")
    with pytest.raises(
        UserError, match=rf"^cannot download .*/dataset_texas.tgz .* at {tmp_path}/texas100/dataset_texas.tgz$"
    ):
        Texas100().load(tmp_path)


def test_truncated_archive(server, tmp_path):
    server.files["/dataset_texas.tgz"] = server.files["/dataset_texas.tgz"][:-2000]
    with pytest.raises(
        UserError, match=r"sent a wrong file, not kept \(.* is damaged or cut off: .*\); put the right one"
    ):
        Texas100().load(tmp_path)


def test_bad_lines(load):
    with pytest.raises(UserError, match=r"file, texas/100/feats, line 2: 6168 features; expected 6169$"):
        load(feats=FEATS.replace(b"\n", b"\n", 1).replace(FEATS.split(b"\n")[1], FEATS.split(b"\n")[1][2:]))
    with pytest.raises(UserError, match=r"file, texas/100/feats, line 110: feature 6169 is '2'; expected 0 or 1$"):
        load(feats=FEATS[:-2] + b"2\n")
    with pytest.raises(UserError, match=r"file, texas/100/labels, line 1: the class is 101; expected 1 to 100$"):
        load(labels=b"101\n" + CLASSES.split(b"\n", 1)[1])
    with pytest.raises(UserError, match=r"file, texas/100/labels has 109 lines; the published file has 110$"):
        load(labels=CLASSES.split(b"\n", 1)[1])


def test_missing_file(tmp_path, packed):
    (tmp_path / "file").write_bytes(packed({"texas/100/feats": FEATS}))
    with pytest.raises(UserError, match=r"file is an archive without a file `texas/100/labels`$"):
        Texas100(path=tmp_path / "file").load(tmp_path / "root")
    with pytest.raises(UserError, match=r"^cannot read .*/absent: No such file or directory$"):
        Texas100(path=tmp_path / "absent").load(tmp_path / "root")
