"""Digits are scikit-learn's, normalised over the whole pool."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from miabench.datasets.digits import Digits


def test_equal_to_scikit_learn(tmp_path):
    digits = load_digits()
    data = Digits().load(tmp_path)
    assert data.x.shape == (1797, 1, 8, 8)
    assert data.domain.num_classes == 10
    np.testing.assert_array_equal(data.x[:, 0].numpy(), digits.images)
    np.testing.assert_array_equal(data.y.numpy(), digits.target)
    assert data.y.dtype == torch.int64


def test_normalised_over_the_pool(tmp_path):
    pixels = load_digits().images / 16
    data = Digits().load(tmp_path)
    inputs = data.inputs(torch.arange(len(data)), torch.device("cpu"), torch.float64)
    expected = (pixels - pixels.mean()) / pixels.std()
    np.testing.assert_allclose(inputs[:, 0].numpy(), expected, rtol=1e-12, atol=1e-12)
