"""Training curves: where the points lie, and what is said in words."""

import re

import numpy as np
import pandas as pd
import pytest

from miabench.reports.page.curves import HEIGHT, POINTS, WIDTH, panels


def shapes(panel):
    """The points of each shape, from 0 to 1 with y upwards."""
    found = re.findall(r'points="([^"]*)"', panel.svg)
    pairs = [np.array([[float(n) for n in pair.split(",")] for pair in points.split()]) for points in found]
    return [np.stack([p[:, 0] / WIDTH, 1 - p[:, 1] / HEIGHT], axis=1) for p in pairs]


def test_a_line_per_run():
    runs = [pd.DataFrame({"epoch": [1, 2, 4], "lr": 0.1, "loss": loss}) for loss in ([3.0, 2.0, 1.0], [3.0, 1.0, 2.0])]
    (panel,) = panels(runs)
    assert (panel.title, panel.low, panel.high, panel.last) == ("loss", "1", "3", "4")
    assert panel.text == "loss from 3 to 1.5 in 4 epochs (mean over 2 runs)"
    first, second = shapes(panel)
    np.testing.assert_allclose(first, [[0.25, 1], [0.5, 0.5], [1, 0]], atol=1e-3)
    np.testing.assert_allclose(second[:, 1], [1, 0, 0.5], atol=1e-3)


def test_accuracy_is_drawn_from_0_to_1():
    (panel,) = panels([pd.DataFrame({"epoch": [1, 2], "accuracy": [0.25, 0.5]})])
    assert (panel.low, panel.high) == ("0", "1")
    np.testing.assert_allclose(shapes(panel)[0][:, 1], [0.25, 0.5], atol=1e-3)


def test_branches_of_a_loss_are_stacked_means():
    shares = {"rce_fit": [0.5, 0.0], "rce_hold": [0.25, 1.0], "rce_soften": [0.25, 0.0]}
    runs = [pd.DataFrame({"epoch": [1, 2], **shares}), pd.DataFrame({"epoch": [1, 2], **shares, "rce_fit": [0.0, 0.0]})]
    (panel,) = panels(runs)
    assert (panel.title, panel.legend) == ("rce: share of steps", ("fit", "hold", "soften"))
    assert panel.text.endswith("fit 12%, hold 62%, soften 12% of all steps")
    soften, hold, fit = shapes(panel)  # the lowest is drawn last
    np.testing.assert_allclose(fit, [[0, 0], [0, 0.25], [0.5, 0.25], [0.5, 0], [1, 0], [1, 0]], atol=1e-3)
    np.testing.assert_allclose(hold[1:5, 1], [0.5, 0.5, 1, 1], atol=1e-3)
    np.testing.assert_allclose(soften[1:5, 1], [0.75, 0.75, 1, 1], atol=1e-3)


def test_long_trainings_are_thinned_with_both_ends():
    (panel,) = panels([pd.DataFrame({"epoch": np.arange(1, 1001), "loss": np.linspace(1, 0, 1000)})])
    (line,) = shapes(panel)
    assert len(line) == POINTS
    np.testing.assert_allclose(line[[0, -1], 1], [1, 0], atol=1e-3)


@pytest.mark.parametrize("values", [[0.5, 0.5], [0.5]])
def test_a_constant_is_a_line(values):
    (panel,) = panels([pd.DataFrame({"epoch": range(1, len(values) + 1), "loss": values})])
    assert shapes(panel)[0][:, 1] == pytest.approx(0)


def test_a_quantity_that_only_some_runs_recorded_is_drawn_for_them():
    first = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5]})
    loss, gain = panels([first, first.assign(gain=[2.0, 3.0])])
    assert (len(shapes(loss)), len(shapes(gain))) == (2, 1)


def test_a_name_is_no_part_of_the_drawing():
    (panel,) = panels([pd.DataFrame({"epoch": [1, 2], "<b>": [1.0, 0.5]})])
    assert panel.title == "<b>"  # the page escapes it
    assert "<b>" not in panel.svg
