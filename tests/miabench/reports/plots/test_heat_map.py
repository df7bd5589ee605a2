"""The heat map: its numbers, its shades, and a word where there is no number."""

import numpy as np
import pytest

from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import heat_map


def figure(results):
    (one,) = heat_map.draw(summarize(results)).values()
    return one


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_row_per_cell_and_a_column_per_attack(make_results):
    auc = {"nn": 0.9, "loss": (0.6, 0.7)}
    one = figure(make_results({"auc": auc}, {"defense": "crl", "params": {"a": 1}, "auc": {"nn": 0.5, "loss": 0.55}}))
    axes = one.axes[0]
    assert axes.images[0].get_array().tolist() == [pytest.approx([90, 65]), pytest.approx([50, 55])]
    assert texts(axes) == ["90.0", "65.0", "50.0", "55.0"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["nn", "loss"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ce (no defense)", "crl a=1"]
    assert axes.images[0].get_clim() == pytest.approx((50, 90))
    assert "AUC" in one.get_suptitle()
    assert "mean over 2 trainings; n = 40 members, 40 non-members" in one.get_suptitle().replace("\n ", "")


def test_a_word_where_there_is_no_number(make_results):
    crl = {"defense": "crl", "auc": {"nn": "not for this model", "loss": None, "entropy": None}, "failure": "Error: no"}
    ce = {"auc": {"nn": 0.9, "loss": 0.9, "entropy": None}}
    assert texts(figure(make_results(ce, crl)).axes[0]) == ["90.0", "90.0", "missing", "n/a", "failed", "failed"]


@pytest.mark.parametrize(("auc", "shades"), [(0.55, (50, 70)), (0.4, (40, 60)), (0.9, (50, 90))])
def test_shades_cover_twenty_points_at_least_and_all_values(make_results, auc, shades):
    assert figure(make_results({"auc": {"nn": auc}})).axes[0].images[0].get_clim() == pytest.approx(shades)


def test_numbers_are_legible_on_their_shade(make_results):
    light, dark = figure(make_results({"auc": {"nn": 0.5, "loss": 1.0}})).axes[0].texts
    assert (light.get_color(), dark.get_color()) == ("black", "white")


def test_a_panel_per_attacker_with_one_list_of_names(make_results):
    one = figure(make_results({}, {"defense": "crl"}, attackers=("adaptive", "non-adaptive")))
    first, second, bar = one.axes
    assert [axes.get_title() for axes in (first, second)] == ["adaptive attacker", "non-adaptive attacker"]
    names = [[label.get_text() for label in axes.get_yticklabels()] for axes in (first, second)]
    assert names == [["ce (no defense)", "crl"], ["", ""]]
    assert bar.get_ylabel() == "AUC (%), less is better"


def test_without_a_finished_attack_there_is_no_figure(make_results):
    assert heat_map.draw(summarize(make_results({"auc": {"nn": None}}))) == {}


def test_many_cells_are_one_row_per_defense(make_results):
    aucs = [0.6 if a == 7 else 0.8 for a in range(heat_map.MOST_ROWS)]
    grid = [{"defense": "crl", "params": {"a": a}, "auc": {"nn": auc}} for a, auc in enumerate(aucs)]
    one = figure(make_results({"auc": {"nn": 0.9}}, *grid, runs=1))
    assert [label.get_text() for label in one.axes[0].get_yticklabels()] == ["ce (no defense)", "crl a=7"]
    assert "one setting of each defense" in one.get_suptitle()
    assert one.get_suptitle().replace("\n ", "").split("\n")[1] == "one training; n = 40 members, 40 non-members"
    assert np.shape(one.axes[0].images[0].get_array()) == (2, 1)
