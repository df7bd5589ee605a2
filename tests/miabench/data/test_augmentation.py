"""Crops and flips are drawn for every record on its own, and equal an obvious loop over records."""

import pytest
import torch
from torch.nn import functional as F

from miabench.data.augmentation import crop_flip


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def shifted(image, row, column, flip):
    """A crop at a row and column of the image padded by 4, flipped or not."""
    _, height, width = image.shape
    crop = F.pad(image, (4, 4, 4, 4))[:, row : row + height, column : column + width]
    return crop.flip(2) if flip else crop


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 5, 9), (2, 9, 5)])
def test_equal_to_a_loop_over_records(shape):
    x = torch.randn(40, *shape, dtype=torch.float64, generator=stream(1))
    draws = stream()
    rows, columns = torch.randint(0, 9, (2, 40, 1), generator=draws).squeeze(2)
    flips = torch.randint(0, 2, (40, 1), generator=draws).squeeze(1)
    expected = [shifted(*record) for record in zip(x, rows, columns, flips, strict=True)]
    assert crop_flip(x, stream()).equal(torch.stack(expected))


def test_every_crop_and_flip_occurs_about_equally_often():
    image = torch.arange(1.0, 13).reshape(1, 3, 4)
    outcomes = crop_flip(image.expand(162 * 100, 1, 3, 4), stream())
    possible = torch.stack([shifted(image, r, c, f) for r in range(9) for c in range(9) for f in (False, True)])
    found, counts = outcomes.unique(dim=0, return_counts=True)
    expected, multiplicity = possible.unique(dim=0, return_counts=True)  # some crops see padding only
    assert found.equal(expected)
    assert ((counts - 100 * multiplicity).abs() < 5 * (100 * multiplicity).sqrt()).all()


def test_records_differ_in_their_crop_and_their_flip():
    image = torch.randn(3, 8, 8, generator=stream(1))
    batch = crop_flip(image.expand(64, 3, 8, 8), stream())
    assert len(batch.unique(dim=0)) > 40


def test_depends_on_the_generator_only():
    x = torch.randn(16, 3, 8, 8, generator=stream(1))
    before = x.clone()
    torch.manual_seed(1)
    first = crop_flip(x, stream())
    torch.manual_seed(2)
    assert crop_flip(x, stream()).equal(first)
    assert not crop_flip(x, stream(3)).equal(first)
    assert x.equal(before)


def test_keeps_shape_and_type():
    out = crop_flip(torch.ones(2, 3, 6, 5, dtype=torch.bfloat16), stream())
    assert out.shape == (2, 3, 6, 5)
    assert out.dtype == torch.bfloat16
