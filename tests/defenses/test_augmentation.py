"""Each mechanism, record by record."""

import math

import numpy as np
import pytest
import torch
from miabench.defenses.augmentation import cutout, mixup, symmetric_beta
from scipy.stats import beta, kstest
from torch.nn import functional as F

import miabench
from miabench.data.pool import Data
from miabench.plugins.base import Plugin

IMAGES, NUMBERS = ("crop-flip", "cutout"), ("noise", "mixup")  # what each takes


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=2000, height=8, width=8):
    return torch.randn(n, 3, height, width, generator=stream()).abs() + 0.1


def augmentation(mechanism, **params):
    return miabench.create_defense("augmentation", mechanism=mechanism, **params)


def test_crop_flip_shifts_by_the_share_of_the_side():
    """A single bright pixel of a large image tells where it went."""
    x = torch.zeros(4000, 1, 16, 24)
    x[:, 0, 8, 12] = 1
    shown = augmentation("crop-flip", strength=0.125).augment(x, torch.zeros(4000).long(), stream())  # 2 of 16
    places = shown[:, 0].nonzero()
    assert sorted(set(places[:, 1].tolist())) == [6, 7, 8, 9, 10]
    assert sorted(set(places[:, 2].tolist())) == [9, 10, 11, 12, 13, 14]  # around 12, and around its mirror image 11


@pytest.mark.parametrize("side", [1, 3, 4])
def test_cutout_takes_a_square_around_each_pixel(side):
    x = images(height=7)
    cut = cutout(x, side, stream()) == 0
    assert torch.equal(cut[:, 0], cut[:, 1]), "in all channels"
    squares = set()
    for row, column in np.ndindex(7, 8):
        square = np.zeros((7, 8), dtype=bool)
        top, left = row - side // 2, column - side // 2
        square[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = True
        squares.add(square.tobytes())
    assert {one.numpy().tobytes() for one in cut[:, 0]} == squares, "every place is drawn, and no other"
    assert torch.equal(cutout(x, side, stream())[~cut], x[~cut])


def test_cutout_and_crop_flip_of_a_quarter_and_an_eighth_of_cifar():
    """4 of 32 pixels is what crop-flip does everywhere else; half of the side what cutout's authors take."""
    x = images(200, 32, 32)
    y = torch.zeros(200).long()
    assert torch.equal(augmentation("crop-flip").augment(x, y, stream()), miabench.crop_flip(x, stream()))
    assert (augmentation("cutout", strength=0.5).augment(x, y, stream()) == 0).sum((1, 2, 3)).max() == 3 * 16 * 16


def test_noise_is_normal_and_of_the_given_strength():
    x = images()
    noise = (augmentation("noise", strength=0.3).augment(x, torch.zeros(2000).long(), stream()) - x) / 0.3
    assert kstest(noise.flatten().numpy()[:20000], "norm").pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 1.0])
def test_shares_follow_beta(alpha):
    drawn = symmetric_beta(alpha, 20000, stream()).numpy()
    assert ((drawn >= 0) & (drawn <= 1)).all()
    inside = (drawn > 1e-12) & (drawn < 1 - 1e-12)  # beyond, float64 has no numbers next to 1
    cdf = lambda q: beta(alpha, alpha).cdf(q)  # noqa: E731
    mass = cdf(1 - 1e-12) - cdf(1e-12)
    assert inside.mean() == pytest.approx(mass, abs=0.015)
    assert kstest(drawn[inside], lambda q: (cdf(q) - cdf(1e-12)) / mass).pvalue > 0.001


def test_mixed_records_and_their_loss():
    """As written out, from what was drawn."""
    x, y = images(9, 2, 3).double(), torch.arange(9) % 4
    defense = augmentation("mixup", strength=0.4)
    mixed, targets = defense.augment(x, y, stream(3))
    partner = [next(j for j in range(9) if torch.isclose(_mixed(x, i, j, targets), mixed[i]).all()) for i in range(9)]
    assert sorted(partner) == list(range(9)), "each record is mixed in once"
    assert targets[:, 0].tolist() == y.tolist()
    assert targets[:, 1].tolist() == y[partner].tolist()
    z = torch.randn(9, 4, generator=stream(), dtype=torch.float64)
    log_p = [[v - math.log(math.fsum(map(math.exp, row))) for v in row] for row in z.tolist()]
    expected = [
        -float(m) * log_p[i][y[i]] - (1 - float(m)) * log_p[i][y[j]]
        for i, (j, m) in enumerate(zip(partner, targets[:, 2], strict=True))
    ]
    loss = defense.loss(z, torch.zeros(9, 0), targets, 1)
    assert loss.item() == pytest.approx(math.fsum(expected) / 9, rel=1e-12)


def _mixed(x, i, j, targets):
    return targets[i, 2] * x[i] + (1 - targets[i, 2]) * x[j]


def test_classes_of_any_number_survive():
    """They travel as numbers of the inputs' type."""
    y = torch.tensor([0, 99, 40_000])
    targets = mixup(torch.randn(3, 5), y, 1.0, stream())[1]
    assert targets[:, 0].long().tolist() == y.tolist()


def test_the_loss_of_classes_is_cross_entropy():
    z, y = torch.randn(6, 4, generator=stream()), torch.arange(6) % 4
    assert augmentation("noise").loss(z, torch.zeros(6, 0), y, 1) == F.cross_entropy(z, y)


@pytest.mark.parametrize(
    ("x", "reasons"),
    [
        (torch.zeros(8, 3, 4, 4), {}),
        (torch.zeros(8, 5), dict.fromkeys(IMAGES, "takes images, but these records are numbers (5)")),
        (
            torch.zeros(8, 2, 3, dtype=torch.int64),
            dict.fromkeys(IMAGES, "takes images, but these records are token ids (2 x 3)")
            | dict.fromkeys(NUMBERS, "takes numbers, but these records are token ids (2 x 3)"),
        ),
    ],
)
def test_what_it_can_not_change(x, reasons):
    data = Data(x, torch.arange(8) % 2, ("a", "b"))
    found = {name: augmentation(name).unsupported(data, Plugin()) for name in IMAGES + NUMBERS}
    assert found == {name: f"{name} {reasons[name]}" if name in reasons else None for name in found}
