"""Fashion-MNIST from tiny idx files of the published layout, through torchvision's own reading."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch
import torchvision.datasets

from miabench.datasets.fashion_mnist import FashionMnist
from miabench.errors import UserError

RANDOM = np.random.default_rng(0)
COUNTS = {"train": 11, "t10k": 7}
PIXELS = {part: RANDOM.integers(0, 256, (n, 28, 28)).astype(np.uint8) for part, n in COUNTS.items()}
LABELS = {part: RANDOM.integers(0, 10, n).astype(np.uint8) for part, n in COUNTS.items()}


def idx(array):
    """Two zero bytes, the type (8: unsigned byte), the number of axes, their lengths, and the values."""
    return gzip.compress(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


FILES = {f"{part}-images-idx3-ubyte.gz": idx(PIXELS[part]) for part in COUNTS}
FILES |= {f"{part}-labels-idx1-ubyte.gz": idx(LABELS[part]) for part in COUNTS}


@pytest.fixture(autouse=True)
def published(server, monkeypatch):
    server.files |= {f"/{name}": content for name, content in FILES.items()}
    cls = torchvision.datasets.FashionMNIST
    assert {name for name, _ in cls.resources} == set(FILES)
    resources = [(name, hashlib.md5(FILES[name]).hexdigest()) for name, _ in cls.resources]
    monkeypatch.setattr(cls, "mirrors", [f"{server.url}/"])
    monkeypatch.setattr(cls, "resources", resources)
    return cls


def test_pixels_classes_and_order(tmp_path):
    data = FashionMnist().pool(tmp_path)
    assert data.x.dtype == torch.uint8
    np.testing.assert_array_equal(data.x.numpy(), np.concatenate([PIXELS["train"], PIXELS["t10k"]])[:, None])
    np.testing.assert_array_equal(data.y.numpy(), np.concatenate([LABELS["train"], LABELS["t10k"]]))
    assert data.y.dtype == torch.int64
    assert (data.class_names[0], data.class_names[9]) == ("T-shirt/top", "Ankle boot")


def test_normalised_with_constants(tmp_path):
    data = FashionMnist().load(tmp_path)
    inputs = data.inputs(torch.arange(18), torch.device("cpu")).numpy()
    np.testing.assert_allclose(inputs, (data.x.numpy() / 255 - 0.2860) / 0.3530, atol=1e-5)
    assert data.augmentation == "none"


def test_decoded_once(server, tmp_path):
    FashionMnist().load(tmp_path)
    for file in (tmp_path / "fashion-mnist").glob("*.gz"):
        file.unlink()
    assert len(FashionMnist().load(tmp_path)) == 18
    assert len(server.asked) == 4


def test_no_network_names_all_four_files(published, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "mirrors", ["http://127.0.0.1:1/"])
    with pytest.raises(UserError, match=r"^cannot download http://127.0.0.1:1/train-images-idx3-ubyte.gz ") as error:
        FashionMnist().load(tmp_path)
    for name in FILES:
        assert f"http://127.0.0.1:1/{name} at {tmp_path}/fashion-mnist/{name}" in str(error.value)


def test_truncated_file(tmp_path):
    (tmp_path / "fashion-mnist").mkdir()
    name = "t10k-labels-idx1-ubyte.gz"
    (tmp_path / "fashion-mnist" / name).write_bytes(FILES[name][:-3])
    with pytest.raises(
        UserError, match=rf"{name} is not the file .* publishes: its MD5 is .*; delete it or replace it$"
    ):
        FashionMnist().load(tmp_path)
