"""Purchase100 from a tiny archive of the published layout; what a bad line says is tested with Location30."""

import numpy as np
import pytest
import torch

from miabench.datasets import _binary_rows, purchase100
from miabench.datasets.purchase100 import Purchase100
from miabench.errors import UserError

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(np.arange(120) % 100 + 1)
BITS = RANDOM.integers(0, 2, (120, 600))
TEXT = "".join(f"{label},{','.join(map(str, bits))}\n" for label, bits in zip(LABELS, BITS, strict=True)).encode()


@pytest.fixture(autouse=True)
def published(server, packed, monkeypatch):
    server.files["/dataset_purchase.tgz"] = packed({"dataset_purchase": TEXT})
    monkeypatch.setattr(_binary_rows, "REPOSITORY", server.url)
    monkeypatch.setattr(purchase100, "RECORDS", 120)


def test_values_and_classes(tmp_path):
    data = Purchase100().pool(tmp_path)
    np.testing.assert_array_equal(data.x.numpy(), BITS)
    np.testing.assert_array_equal(data.y.numpy(), LABELS - 1)
    assert data.x.dtype == torch.uint8
    assert data.class_names == tuple(str(label) for label in range(1, 101))
    inputs = data.inputs(torch.arange(120), torch.device("cpu"))
    assert inputs.dtype == torch.float32
    assert inputs.equal(data.x.float())  # not normalised


def test_the_text_itself(tmp_path):
    (tmp_path / "dataset_purchase").write_bytes(TEXT)
    data = Purchase100(path=tmp_path / "dataset_purchase").load(tmp_path / "root")
    np.testing.assert_array_equal(data.x.numpy(), BITS)


def test_downloaded_and_decoded_once(server, tmp_path, monkeypatch):
    first = Purchase100().load(tmp_path)
    monkeypatch.setattr(purchase100, "labelled_bits", lambda *_: pytest.fail("decoded again"))
    again = Purchase100().load(tmp_path)
    assert again.x.equal(first.x)
    assert again.y.equal(first.y)
    assert len(server.asked) == 1


def test_another_file_is_decoded_anew(tmp_path):
    for file, text in (("first", TEXT), ("second", TEXT.replace(b",0,", b",1,"))):
        (tmp_path / file).write_bytes(text)
    first, second = (Purchase100(path=tmp_path / file).load(tmp_path / "root") for file in ("first", "second"))
    assert not first.x.equal(second.x)


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(_binary_rows, "REPOSITORY", "http://127.0.0.1:1")
    message = rf"^cannot download .*/dataset_purchase.tgz .* at {tmp_path}/purchase100/dataset_purchase.tgz$"
    with pytest.raises(UserError, match=message):
        Purchase100().load(tmp_path)


def test_truncated_archive(server, tmp_path):
    server.files["/dataset_purchase.tgz"] = server.files["/dataset_purchase.tgz"][:-2000]
    with pytest.raises(
        UserError, match=r"sent a wrong file, not kept \(.* is damaged or cut off: .*\); put the right one"
    ):
        Purchase100().load(tmp_path)
    assert not (tmp_path / "purchase100" / "dataset_purchase.tgz").exists()


def test_truncated_text(tmp_path):
    (tmp_path / "file").write_bytes(TEXT[: TEXT.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(UserError, match=r"file has 119 lines; the published file has 120$"):
        Purchase100(path=tmp_path / "file").load(tmp_path)


@pytest.mark.parametrize("label", ["0", "101", "x"])
def test_no_such_class(tmp_path, label):
    (tmp_path / "file").write_bytes(label.encode() + TEXT[TEXT.index(b",") :])
    with pytest.raises(UserError, match=rf"file, line 1: the class is {label}; expected 1 to 100$"):
        Purchase100(path=tmp_path / "file").load(tmp_path)
