"""Moments of a whole pool equal numpy's in float64, and nothing is ever divided by zero."""

import numpy as np
import pytest

from miabench.data import normalisation
from miabench.data.normalisation import CHUNK, channel_moments, feature_moments, standardised


def test_channel_moments_equal_those_of_a_float_copy():
    images = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 3, 3, 5, 4)).astype(np.uint8)
    copy = images.astype(np.float64) / 255
    mean, std = channel_moments(images, 1 / 255)
    assert mean.shape == std.shape == (3, 1, 1)
    np.testing.assert_allclose(mean.ravel(), copy.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(std.ravel(), copy.std((0, 2, 3)), rtol=1e-13)


def test_channel_moments_by_hand():
    images = np.array([[[[0, 2]]], [[[4, 6]]]], dtype=np.uint8)  # mean 3, squared deviations 9 1 1 9
    mean, std = channel_moments(images, 0.5)
    assert mean.item() == 1.5
    assert std.item() == 5**0.5 / 2


def test_a_constant_channel_has_std_1():
    images = np.zeros((7, 2, 1, 1), dtype=np.uint8)
    images[:, 0] = 77
    images[3, 1] = 1
    _, std = channel_moments(images, 1 / 255)
    assert std[0].item() == 1
    assert 0 < std[1].item() < 1


def test_feature_moments_equal_those_of_a_float64_copy():
    x = np.random.default_rng(0).normal(1e4, 1e-1, (1001, 3)).astype(np.float32)
    mean, std = feature_moments(x)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(0), rtol=1e-13)
    np.testing.assert_allclose(std, x.astype(np.float64).std(0), rtol=1e-9)


def test_a_constant_feature_has_std_1_even_where_its_mean_is_rounded():
    x = np.full((1001, 2), 0.1, dtype=np.float32)
    x[0, 1] = 0.2
    _, std = feature_moments(x)
    assert std[0] == 1
    assert 0 < std[1] < 1


def test_standardised_equals_float64_and_a_shift_changes_nothing():
    x = np.random.default_rng(0).integers(0, 50_000, (400, 3)).astype(np.float64)
    expected = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(standardised(x), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(standardised(x + 1.7e12), standardised(x))
    assert standardised(x).dtype == np.float32


def test_standardised_in_pieces(monkeypatch):
    x = np.random.default_rng(1).normal(size=(40, 7))
    whole = standardised(x)
    monkeypatch.setattr(normalisation, "CELLS", 100)
    np.testing.assert_array_equal(standardised(x), whole)


def test_a_constant_is_standardised_to_zero():
    assert (standardised(np.full((9, 1), 0.1 + 1.7e12)) == 0).all()


@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e149])
def test_the_unit_of_a_column_does_not_matter(unit):
    x = np.random.default_rng(2).integers(0, 9, (50, 1)).astype(np.float64)
    np.testing.assert_allclose(standardised(x * unit), standardised(x), rtol=1e-2 if unit < 1e-300 else 1e-6)
