"""SVHN from tiny .mat files of the published layout, through torchvision's own reading."""

import hashlib
import io

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets

from miabench.datasets.svhn import Svhn
from miabench.errors import UserError

RANDOM = np.random.default_rng(0)
COUNTS = {"train": 12, "test": 9}
PIXELS = {part: RANDOM.integers(0, 256, (32, 32, 3, n)).astype(np.uint8) for part, n in COUNTS.items()}  # H W C N
LABELS = {part: np.arange(n, dtype=np.uint8) % 10 + 1 for part, n in COUNTS.items()}  # 1 to 10, as published


def mat(part):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"X": PIXELS[part], "y": LABELS[part][:, None]}, do_compression=True)
    return buffer.getvalue()


FILES = {part: mat(part) for part in COUNTS}


@pytest.fixture(autouse=True)
def published(server, monkeypatch):
    table = {}
    for part, content in FILES.items():
        name = f"{part}_32x32.mat"
        server.files[f"/{name}"] = content
        table[part] = [f"{server.url}/{name}", name, hashlib.md5(content).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", table)
    return table


def test_pixels_classes_and_order(server, tmp_path):
    data = Svhn().pool(tmp_path)
    assert data.x.shape == (21, 3, 32, 32)
    assert data.x.dtype == torch.uint8
    for row, (part, i) in enumerate([("train", i) for i in range(12)] + [("test", i) for i in range(9)]):
        assert data.x[row, 2, 3, 4] == PIXELS[part][3, 4, 2, i]
        np.testing.assert_array_equal(data.x[row].numpy(), PIXELS[part][..., i].transpose(2, 0, 1))
        assert data.y[row] == LABELS[part][i] % 10  # 10 is the digit 0
    assert data.class_names == tuple("0123456789")
    assert [path for path, _ in server.asked] == ["/train_32x32.mat", "/test_32x32.mat"]  # not the extra part


def test_raw_from_0_to_1(tmp_path):
    data = Svhn().load(tmp_path)
    inputs = data.inputs(torch.arange(21), torch.device("cpu"))
    np.testing.assert_allclose(inputs.numpy(), data.x.numpy() / 255, atol=1e-7)
    assert data.augmentation == "none"


def test_decoded_once(server, tmp_path):
    first = Svhn().load(tmp_path)
    for file in (tmp_path / "svhn").glob("*.mat"):
        file.unlink()
    assert Svhn().load(tmp_path).x.equal(first.x)
    assert len(server.asked) == 2


def test_no_network(published, tmp_path):
    for row in published.values():
        row[0] = f"http://127.0.0.1:1/{row[1]}"
    places = rf"put .* at {tmp_path}/svhn/train_32x32.mat, .* at {tmp_path}/svhn/test_32x32.mat"
    message = rf"^cannot download .*/train_32x32.mat \(.*\); .*: {places}$"
    with pytest.raises(UserError, match=message):
        Svhn().load(tmp_path)


def test_wrong_checksum(server, tmp_path):
    server.files["/test_32x32.mat"] = FILES["test"][:-1]
    with pytest.raises(
        UserError, match=r"test_32x32.mat sent another file than it publishes: its MD5 is .*; put the right"
    ):
        Svhn().load(tmp_path)
    assert (tmp_path / "svhn" / "train_32x32.mat").exists()  # what is right need not come again
