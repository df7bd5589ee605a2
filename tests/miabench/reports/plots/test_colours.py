"""Hues are told apart on screen, in print and by the colour-blind: distances in CIELAB, from the textbook formulas."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from miabench.reports.plots.histograms import MEMBERS, OTHERS
from miabench.reports.plots.style import PLUGINS, fixed_looks

WHITE = np.array([0.95047, 1, 1.08883])  # D65
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
# Machado, Oliveira and Fernandes (2009), full severity, for linear RGB.
VISIONS = {
    "usual": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(color, vision="usual"):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x = XYZ @ np.clip(np.asarray(VISIONS[vision]) @ linear, 0, 1) / WHITE
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest(colors, vision):
    return min(np.linalg.norm(lab(a, vision) - lab(b, vision)) for a, b in itertools.combinations(colors, 2))


def test_lab_is_right():
    assert lab("#FF0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@pytest.mark.parametrize("vision", VISIONS)
def test_no_two_defenses_look_alike(vision):
    colors = ["black", *(look.color for look in fixed_looks().values())]
    assert nearest(colors, vision) > 14
    assert nearest([*colors, *PLUGINS], vision) > 12


def test_what_is_compared_most_differs_in_grey():
    first = ["black", *(look.color for look in fixed_looks().values())][:10]
    assert np.diff(sorted(lab(color)[0] for color in first)).min() > 5


def test_every_hue_stands_out_from_white():
    assert max(lab(color)[0] for color in [*(look.color for look in fixed_looks().values()), *PLUGINS]) < 75


@pytest.mark.parametrize("vision", VISIONS)
def test_members_and_non_members_differ_in_grey_and_hue(vision):
    assert abs(lab(MEMBERS, vision)[0] - lab(OTHERS, vision)[0]) > 15
    assert nearest([MEMBERS, OTHERS], vision) > 50
