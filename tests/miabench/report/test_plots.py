"""The trade-off figures, through matplotlib's own objects."""

import numpy as np
import pytest

from miabench.errors import UserError
from miabench.report.plots import COLORS, GUESSING, MARKERS, choose_looks, draw, trade_off
from miabench.report.summary import summarize


def figure(results):
    (one,) = draw(summarize(results)).values()
    return one


def bars(axes):
    """Points with error bars: marker, x, y."""
    lines = [container.lines[0] for container in axes.containers]
    return [(line.get_marker(), float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


def legend(one):
    return [text.get_text() for text in one.legends[0].get_texts()]


def tags(axes):
    return [text.get_text() for text in axes.texts]


def test_one_panel_per_attack_and_one_point_per_cell(make_results):
    auc = {"entropy": 0.9, "nn": 0.8, "loss": 0.7, "grad-x": 0.6}
    one = figure(make_results({"auc": auc}, {"defense": "crl", "accuracy": 0.75, "auc": {**auc, "loss": "no"}}))
    assert [axes.get_title() for axes in one.axes] == list(auc)
    assert [len(bars(axes)) for axes in one.axes] == [2, 2, 1, 2]
    assert bars(one.axes[1])[0][1:] == (pytest.approx(80), pytest.approx(80))
    assert bars(one.axes[1])[1][1:] == (pytest.approx(75), pytest.approx(80))


def test_bars_are_one_standard_deviation(make_results):
    one = figure(make_results({"accuracy": (0.7, 0.8, 0.9), "auc": {"entropy": (0.6, 0.7, 0.65)}}, runs=3))
    _, _, (x_bar, y_bar) = one.axes[0].containers[0].lines
    assert np.ptp(x_bar.get_segments()[0][:, 0]) == pytest.approx(2 * 10)
    assert np.ptp(y_bar.get_segments()[0][:, 1]) == pytest.approx(2 * 5)


def test_one_run_has_no_bars(make_results):
    one = figure(make_results({}, runs=1))
    assert one.axes[0].containers[0].lines[2] == ()
    assert "one training" in one.get_suptitle()


def test_the_heading_says_dataset_model_runs_and_records(make_results):
    one = figure(make_results({}, {"defense": "advreg", "withheld": 10}, runs=3))
    assert one.get_suptitle().split("\n") == [
        "toy, mlp: test accuracy against attack AUC",
        "mean and standard deviation over 3 trainings",
        "n = 30 to 40 members, 40 non-members",
    ]
    assert "AUC" in one.get_supylabel()
    assert "test accuracy" in one.get_supxlabel()


def test_two_attackers_have_a_panel_each(make_results):
    one = figure(make_results({}, attackers=("adaptive", "non-adaptive")))
    assert [axes.get_title() for axes in one.axes] == ["entropy (adaptive)", "entropy (non-adaptive)"]


def test_a_grid_over_one_parameter_is_a_curve_with_its_values(make_results):
    grid = [{"defense": "crl", "params": {"alpha_rce": a}, "accuracy": 0.8 - a / 4} for a in (0.2, 0.4, 0.6)]
    one = figure(make_results({}, *grid, {"defense": "crl", "accuracy": 0.5}, {"defense": "dmp"}))
    curves = [line for line in one.axes[0].lines if len(line.get_xdata()) == 4]
    assert [list(line.get_xdata()) for line in curves] == [pytest.approx([75, 70, 65, 50])]
    assert tags(one.axes[0]) == ["0.2", "0.4", "0.6", "default"]
    assert legend(one)[:3] == ["ce (no defense)", "crl, by alpha_rce", "dmp"]


def test_a_grid_over_several_parameters_is_numbered_alike_in_all_panels(make_results):
    one = figure(
        make_results(
            {"defense": "crl", "params": {"a": 1}, "auc": {"nn": "no", "loss": 0.7}},
            {"defense": "crl", "params": {"b": 2}, "auc": {"nn": 0.8, "loss": 0.7}},
            {"defense": "crl", "auc": {"nn": 0.8, "loss": 0.7}},
        )
    )
    assert [tags(axes) for axes in one.axes] == [["2", "3"], ["1", "2", "3"]]
    assert legend(one)[0].split("\n") == ["crl", "1: a=1", "2: b=2", "3: default"]
    assert not [line for axes in one.axes for line in axes.lines if len(line.get_xdata()) == 3]


def test_all_panels_share_their_axes_and_hold_every_bar(make_results):
    one = figure(make_results({"accuracy": (0.5, 0.9), "auc": {"nn": 0.95, "loss": (0.7, 0.9)}}, {"defense": "crl"}))
    assert len({axes.get_xlim() + axes.get_ylim() for axes in one.axes}) == 1
    low, high = one.axes[0].get_xlim()
    assert low < 100 * (0.7 - np.std([0.5, 0.9], ddof=1))
    assert high > 100 * (0.7 + np.std([0.5, 0.9], ddof=1))


def test_axes_are_never_so_narrow_that_noise_looks_like_a_difference(make_results):
    axes = figure(make_results({"auc": {"entropy": 0.9}}, {"defense": "crl", "auc": {"entropy": 0.9}})).axes[0]
    assert np.ptp(axes.get_xlim()) == pytest.approx(5)
    assert np.ptp(axes.get_ylim()) == pytest.approx(5)


@pytest.mark.parametrize(("lowest", "in_view"), [(0.65, True), (0.8, False)])
def test_guessing_is_in_view_unless_it_is_far_off(make_results, lowest, in_view):
    one = figure(make_results({"auc": {"entropy": 0.9}}, {"defense": "crl", "auc": {"entropy": lowest}}))
    assert (one.axes[0].get_ylim()[0] < GUESSING) == in_view
    assert ("guessing (AUC 50%)" in legend(one)) == in_view


def test_collapsed_cells_are_hollow(make_results):
    one = figure(make_results({}, {"defense": "crl", "accuracy": 0.25}))
    faces = [container.lines[0].get_markerfacecolor() for container in one.axes[0].containers]
    assert faces == ["black", "white"]
    assert "collapsed (any defense)" in legend(one)


def test_a_defense_looks_the_same_whatever_else_is_there():
    few, many = choose_looks(["ce", "crl"]), choose_looks(["advreg", "ce", "crl", "dmp", "relaxloss", "selena"])
    assert few["crl"] == many["crl"]
    assert few["ce"] == many["ce"]


def test_looks_differ_as_long_as_there_are_any():
    looks = choose_looks(["ce", *(f"defense-{i}" for i in range(4))])
    assert {look.color for look in looks.values()} == {*COLORS, "black"}
    assert len({look.marker for look in looks.values()}) == len(MARKERS)
    many = choose_looks([f"defense-{i}" for i in range(10)]).values()
    assert len(set(many)) == len(many)


def test_a_png_svg_and_pdf_are_written(make_results, tmp_path):
    results = make_results({}, {"defense": "crl", "params": {"mode": "$\\frac$ <b>&"}})
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for suffix, head in heads.items():
        path = tmp_path / "new folder" / f"plot.{suffix}"
        assert trade_off(results, path) == [path]
        assert path.read_bytes().startswith(head)


def test_labels_are_no_formulas(make_results, tmp_path):
    auc = {"$x_1$": 0.7}
    results = make_results({"auc": auc}, *({"defense": "$\\bad$", "params": {"a": a}, "auc": auc} for a in "$$"))
    (path,) = trade_off(results, tmp_path / "plot.svg")
    assert path.stat().st_size > 0
    assert figure(results).axes[0].get_title() == r"\$x_1\$"


def test_several_figures_are_named_after_dataset_and_model(make_results, tmp_path):
    results = make_results(
        {}, {"model": "mlp hidden=[64]"}, {"model": "cnn", "accuracy": None, "auc": {"entropy": None}}
    )
    written = trade_off(results, tmp_path / "plot.png")
    assert [path.name for path in written] == ["plot-toy-mlp.png", "plot-toy-mlp_hidden=_64_.png"]
    assert all(path.exists() for path in written)


def test_without_a_finished_attack_there_is_no_figure(make_results, tmp_path):
    assert trade_off(make_results({"auc": {"entropy": None}}), tmp_path / "plot.png") == []
    assert not (tmp_path / "plot.png").exists()


def test_an_unknown_suffix_is_an_error(make_results, tmp_path):
    with pytest.raises(UserError, match=r"cannot write the plot .*plot\.jpg: its name must end in \.png, \.svg, \.pdf"):
        trade_off(make_results({}), tmp_path / "plot.jpg")


def test_drawing_leaves_no_global_figure_behind(make_results, tmp_path):
    from matplotlib import pyplot

    trade_off(make_results({}), tmp_path / "plot.png")
    assert pyplot.get_fignums() == []
