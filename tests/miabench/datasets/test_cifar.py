"""CIFAR-10 and CIFAR-100 from tiny archives of the published layout, through torchvision's own reading."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision.datasets

from miabench.datasets.cifar10 import Cifar10
from miabench.datasets.cifar100 import Cifar100
from miabench.errors import UserError

NORMALISATION = {
    10: ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    100: ((0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)),
}
PLUGINS = {10: Cifar10, 100: Cifar100}
PER_FILE = 4


def md5(content):
    return hashlib.md5(content).hexdigest()


class Tiny:
    """A tiny CIFAR-10 or CIFAR-100 on the server, whose checksums torchvision has."""

    def __init__(self, classes, server, packed, monkeypatch):
        random = np.random.default_rng(classes)
        self.published = torchvision.datasets.CIFAR10 if classes == 10 else torchvision.datasets.CIFAR100
        self.plugin = PLUGINS[classes]
        self.server, self.folder = server, f"cifar{classes}"
        parts = [name for name, _ in self.published.train_list + self.published.test_list]
        self.rows = random.integers(0, 256, (len(parts) * PER_FILE, 3072)).astype(np.uint8)
        self.labels = random.integers(0, classes, len(self.rows)).tolist()
        self.names = [f"class {label}" for label in range(classes)]
        self.files = {
            name: pickle.dumps(self._batch(classes, slice(i * PER_FILE, (i + 1) * PER_FILE)))
            for i, name in enumerate(parts)
        }
        meta = self.published.meta | {"md5": ""}
        self.files[meta["filename"]] = pickle.dumps({meta["key"]: self.names})
        self.archive = packed({f"{self.published.base_folder}/{name}": file for name, file in self.files.items()})
        sums = {name: md5(content) for name, content in self.files.items()}
        patch = {
            "url": f"{server.url}/{self.published.filename}",
            "tgz_md5": md5(self.archive),
            "train_list": [[name, sums[name]] for name, _ in self.published.train_list],
            "test_list": [[name, sums[name]] for name, _ in self.published.test_list],
            "meta": meta | {"md5": sums[meta["filename"]]},
        }
        for attribute, value in patch.items():
            monkeypatch.setattr(self.published, attribute, value)
        server.files[f"/{self.published.filename}"] = self.archive

    def _batch(self, classes, rows):
        if classes == 10:
            return {"batch_label": "a batch", "labels": self.labels[rows], "data": self.rows[rows], "filenames": []}
        return {"fine_labels": self.labels[rows], "coarse_labels": [0] * PER_FILE, "data": self.rows[rows]}


@pytest.fixture(params=[10, 100])
def tiny(request, server, packed, monkeypatch):
    return Tiny(request.param, server, packed, monkeypatch)


def test_pixels_classes_and_order(tiny, tmp_path):
    data = tiny.plugin().pool(tmp_path)
    assert data.x.dtype == torch.uint8
    # A row of the file is the red, then the green, then the blue plane, each from its top line to its last.
    for i, row in enumerate(tiny.rows):
        for channel, line, column in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 5, 7), (2, 31, 31)]:
            assert data.x[i, channel, line, column] == row[channel * 1024 + line * 32 + column]
    np.testing.assert_array_equal(data.x.numpy().reshape(-1, 3072), tiny.rows)  # train files in order, then test
    assert data.y.tolist() == tiny.labels
    assert data.y.dtype == torch.int64
    assert data.class_names == tuple(tiny.names)


def test_normalised_with_the_papers_constants(tiny, tmp_path):
    data = tiny.plugin().load(tmp_path)
    mean, std = NORMALISATION[len(tiny.names)]
    expected = (tiny.rows.reshape(-1, 3, 1024) / 255 - np.array(mean)[:, None]) / np.array(std)[:, None]
    inputs = data.inputs(torch.arange(len(data)), torch.device("cpu")).numpy()
    np.testing.assert_allclose(inputs.reshape(-1, 3, 1024), expected, atol=1e-5)


def test_augmentation(tiny, tmp_path):
    assert tiny.plugin().load(tmp_path).augmentation == ("none" if tiny.plugin is Cifar10 else "crop-flip")
    for augment in ("none", "crop-flip"):
        assert tiny.plugin(augment=augment).load(tmp_path).augmentation == augment


def test_decoded_once_and_only_the_archive_stays(tiny, tmp_path):
    first = tiny.plugin().load(tmp_path)
    (tmp_path / tiny.folder / tiny.published.filename).unlink()
    assert tiny.plugin().load(tmp_path).x.equal(first.x)
    assert len(tiny.server.asked) == 1
    assert not [path for path in (tmp_path / tiny.folder).rglob("*") if path.is_dir() and "decoded" not in path.name]


def test_archive_put_there(tiny, tmp_path):
    tiny.server.files.clear()
    (tmp_path / tiny.folder).mkdir()
    (tmp_path / tiny.folder / tiny.published.filename).write_bytes(tiny.archive)
    assert tiny.plugin().load(tmp_path).y.tolist() == tiny.labels


def test_no_network(tiny, tmp_path, monkeypatch):
    url = f"http://127.0.0.1:1/{tiny.published.filename}"
    monkeypatch.setattr(tiny.published, "url", url)
    message = rf"^cannot download {url} \(.*\); .*: put {url} at {tmp_path}/{tiny.folder}/{tiny.published.filename}$"
    with pytest.raises(UserError, match=message):
        tiny.plugin().load(tmp_path)


def test_truncated_archive(tiny, tmp_path):
    (tmp_path / tiny.folder).mkdir()
    file = tmp_path / tiny.folder / tiny.published.filename
    file.write_bytes(tiny.archive[:-1000])
    with pytest.raises(
        UserError, match=rf"^{file} is not the file .* publishes: its MD5 is .*; delete it or replace it$"
    ):
        tiny.plugin().load(tmp_path)


def test_nothing_is_unpickled_before_its_own_checksum(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny.published, "test_list", [[tiny.published.test_list[0][0], "0" * 32]])
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(RuntimeError, match="corrupted"):
        tiny.plugin().load(tmp_path)
