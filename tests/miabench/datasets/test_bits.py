"""Generated records are what the arguments say, and the same everywhere."""

import numpy as np
import pytest
import torch

import miabench
from miabench.datasets.bits import Bits


@pytest.fixture
def default(tmp_path):
    return Bits().load(tmp_path)


def test_default_shape(default):
    assert default.x.shape == (2400, 100)
    assert default.x.dtype == torch.float32
    assert set(default.x.unique().tolist()) == {0, 1}
    assert default.y.bincount().tolist() == [120] * 20
    assert default.class_names == tuple(map(str, range(20)))


def test_inputs_are_not_normalised(default):
    ids = torch.arange(5)
    assert default.inputs(ids, torch.device("cpu")).equal(default.x[:5])


def test_each_bit_is_flipped_with_probability_035(default):
    x = default.x.numpy().astype(bool)
    flipped = np.empty_like(x)
    for label in range(20):
        records = x[default.y.numpy() == label]
        prototype = records.mean(0) > 0.5
        flipped[default.y.numpy() == label] = records ^ prototype
    assert abs(flipped.mean() - 0.35) < 4 * (0.35 * 0.65 / x.size) ** 0.5 + 1e-3  # the prototype itself is a guess
    assert abs(np.corrcoef(flipped.T)[np.triu_indices(100, 1)]).max() < 0.12  # independent: sd 1 / sqrt(2400)


def test_prototypes_are_random(default):
    centres = torch.stack([default.x[default.y == label].mean(0) > 0.5 for label in range(20)])
    assert abs(centres.double().mean() - 0.5) < 0.05
    assert len(centres.unique(dim=0)) == 20


def test_without_flips_records_are_prototypes(tmp_path):
    data = Bits(flip=0, classes=4, records_per_class=6, bits=32).load(tmp_path)
    assert data.x.shape == (24, 32)
    assert data.duplicates == 20
    assert data.y[data.first_copy].equal(data.y)


def test_the_same_everywhere(default):
    assert default.fingerprint() == "17f360aee8679fc86b40a2cdad3264b3f1fc9fd22cfd141b319e93fdb0e8032a"


def test_depends_on_its_seed_only(default, tmp_path):
    torch.manual_seed(1)
    np.random.seed(1)
    assert Bits(seed=0).load(tmp_path).fingerprint() == default.fingerprint()
    assert Bits(seed=1).load(tmp_path).fingerprint() != default.fingerprint()


@pytest.mark.parametrize("wrong", [{"flip": 0.6}, {"classes": 1}, {"records_per_class": 0}, {"bits": 0}, {"seed": -1}])
def test_out_of_bounds(wrong):
    ((name, _),) = wrong.items()
    with pytest.raises(miabench.UserError, match=rf"dataset bits: {name} = .* should be (less|greater) than or equal"):
        miabench.load_dataset("bits", **wrong)
