"""Ticks of logarithmic axes, laid out by matplotlib itself: no two labels touch."""

import itertools
from dataclasses import replace

import pytest

from miabench.reports.numbers.cost import Cost, Setup
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import against_cost, against_size, roc
from miabench.reports.plots.sheet import SCREEN, Sheet

COLUMN = Sheet("column", titles=False)
HERE = frozenset([Setup("cpu", "a processor", 1, 1)])
ATTACKERS = ("adaptive", "non-adaptive")


def shown(figure):
    """The labels of the first panel's horizontal axis, with the least free space between two of them in pixels."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    labels = [tick.label1 for tick in ticks if tick.label1.get_text() and low <= tick.get_loc() <= high]
    boxes = sorted((box.x0, box.x1) for box in (label.get_window_extent() for label in labels))
    return [label.get_text() for label in labels], min(b[0] - a[1] for a, b in itertools.pairwise(boxes))


def cost_figure(make_results, seconds, sheet, attackers=("adaptive",)):
    names = ("ce", "crl")
    results = make_results(*({"defense": name} for name in names), attackers=attackers)
    spent = {
        ("toy", "mlp", name): Cost(1, cost, cost, 1, 1, None, 0, HERE)
        for name, cost in zip(names, seconds, strict=True)
    }
    (figure,) = against_cost.draw(summarize(results), spent, sheet).values()
    return figure


@pytest.mark.parametrize("sheet", [SCREEN, COLUMN])
@pytest.mark.parametrize("attackers", [ATTACKERS[:1], ATTACKERS])
@pytest.mark.parametrize(
    "seconds", [(0.29, 3.2), (0.7, 7.5), (0.02, 2), (95, 1100), (3, 40_000), (0.001, 90_000), (12_000, 3_000_000)]
)
def test_costs_over_decades_have_plain_numbers_that_stand_apart(make_results, sheet, attackers, seconds):
    labels, free = shown(cost_figure(make_results, seconds, sheet, attackers))
    values = [float(label.replace(",", "")) for label in labels]
    assert 2 <= len(values) <= 16
    assert all(f"{value:e}"[0] in "1235" for value in values)
    assert free > 2


def test_a_decade_is_named_by_1_2_and_5(make_results):
    assert shown(cost_figure(make_results, (0.29, 3.2), COLUMN))[0] == ["0.5", "1", "2"]


@pytest.mark.parametrize("records", [9, 30, 400])
def test_rates_have_plain_numbers_that_stand_apart(make_results, records):
    results = make_results({"auc": {"nn": 0.9, "loss": 0.8}}, records=records, runs=1)
    (figure,) = roc.draw(results, summarize(results), COLUMN).values()
    labels, free = shown(figure)
    assert labels[-1] == "1"
    assert len(labels) >= 2
    assert free > 2


@pytest.mark.parametrize("sheet", [SCREEN, COLUMN])
def test_sizes_near_each_other_do_not_run_into_each_other(make_results, sheet):
    models = [f"cnn width={width}" for width in (1, 2, 3, 4, 5, 6)]
    results = make_results(*({"model": model} for model in models))
    sizes = (10_000, 13_000, 17_000, 3_000_000, 3_700_000, 4_500_000)
    cost = Cost(1, 1.0, 1.0, 1, 1, None, 0, HERE)
    known = {("toy", model, "ce"): replace(cost, parameters=size) for model, size in zip(models, sizes, strict=True)}
    (figure,) = against_size.draw(summarize(results), known, sheet).values()
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = axes.get_xticklabels()
    assert labels[0].get_text() == "10,000"
    across = [label.get_window_extent().x1 for label in labels]  # where the slanting labels end
    assert min(b - a for a, b in itertools.pairwise(across)) / figure.dpi > 0.2
