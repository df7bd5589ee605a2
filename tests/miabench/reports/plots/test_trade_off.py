"""The trade-off figures, through matplotlib's own objects."""

import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection

from miabench.errors import UserError
from miabench.plugins.discover import discover
from miabench.reports.numbers.selection import Selection, select
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import draw, draw_ablation, trade_off
from miabench.reports.plots.scatter import MOST_TAGS
from miabench.reports.plots.style import PLUGINS, choose_looks, fixed_looks
from miabench.results.index import Cell


def figure(results):
    (one,) = draw(summarize(results)).values()
    return one


def looks_of(*defenses):
    cells = [Cell(dataset="toy", model="mlp", defense=name, params={}, is_baseline=name == "ce") for name in defenses]
    looks = choose_looks(cells)
    return {name: looks[name] for name in defenses}


def bars(axes):
    """Points with error bars: marker, x, y."""
    lines = [container.lines[0] for container in axes.containers]
    return [(line.get_marker(), *map(float, point)) for line in lines for point in zip(*line.get_data(), strict=True)]


def solid(one):
    return [line for line in one.axes[0].lines if line.get_linestyle() == "-"]


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
        "toy, mlp: test accuracy against AUC of each attack",
        "mean and standard deviation over 3 trainings",
        "n = 30 to 40 members, 40 non-members",
    ]
    assert "AUC" in one.get_supylabel()
    assert "test accuracy" in one.get_supxlabel()


def test_two_attackers_have_a_panel_each(make_results):
    one = figure(make_results({}, attackers=("adaptive", "non-adaptive")))
    assert [axes.get_title() for axes in one.axes] == ["entropy (adaptive)", "entropy (non-adaptive)"]


def test_the_panels_of_one_attack_are_side_by_side(make_results):
    one = figure(make_results({"auc": {"nn": 0.9, "loss": 0.8}}, attackers=("adaptive", "non-adaptive")))
    rows = [(axes.get_subplotspec().rowspan.start, axes.get_title()[:2]) for axes in one.axes]
    assert rows == [(0, "nn"), (0, "nn"), (1, "lo"), (1, "lo")]


def test_a_grid_over_one_parameter_is_a_curve_with_its_values(make_results):
    grid = [{"defense": "crl", "params": {"alpha_rce": a}, "accuracy": 0.8 - a / 4} for a in (0.2, 0.4, 0.6)]
    one = figure(make_results({}, *grid, {"defense": "crl", "accuracy": 0.5}, {"defense": "dmp"}))
    curves = [line for line in one.axes[0].lines if len(line.get_xdata()) == 4 and line.get_linestyle() == "-"]
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
    curves = [line for axes in one.axes for line in axes.lines if line.get_linestyle() == "-"]
    assert max(len(line.get_xdata()) for line in curves) < 3  # a and b change alike nowhere


def test_settings_of_two_parameters_that_change_together_are_one_curve(make_results):
    pairs = [(1, 0.1), (2, 0.2), (3, 0.3)]
    grid = [{"defense": "crl", "params": {"a": a, "b": b}, "accuracy": 0.8 - a / 10} for a, b in pairs]
    one = figure(make_results({}, *grid))
    assert [list(line.get_xdata()) for line in solid(one)] == [pytest.approx([70, 60, 50])]


def test_a_grid_of_two_parameters_has_a_curve_for_each_value_of_the_first(make_results):
    grid = [
        {"defense": "crl", "params": {"a": a, "b": b}, "accuracy": 0.95 - 0.3 * a - 0.05 * b}
        for a in (1, 2)
        for b in (1, 2, 3)
    ]
    one = figure(make_results({}, *grid))
    assert [list(line.get_xdata()) for line in solid(one)] == [pytest.approx(xs) for xs in ([60, 55, 50], [30, 25, 20])]


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


@pytest.mark.parametrize(("lowest", "in_view"), [(0.65, True), (0.7, False)])
def test_guessing_is_in_view_unless_it_is_far_off(make_results, lowest, in_view):
    one = figure(make_results({"auc": {"entropy": 0.9}}, {"defense": "crl", "auc": {"entropy": lowest}}))
    assert (one.axes[0].get_ylim()[0] < 50) == in_view
    assert ("guessing (50%)" in legend(one)) == in_view


@pytest.mark.parametrize(
    ("metric", "name", "guessing"),
    [("auc", "AUC", 50), ("tpr@1%", "TPR at 1% FPR", 1), ("tpr@0.1%", "TPR at 0.1% FPR", 0.1)],
)
def test_another_metric_has_its_own_name_and_guessing(make_results, metric, name, guessing):
    results = make_results({"auc": {"nn": 0.5}}, {"defense": "crl", "auc": {"nn": 0.55}}, records=1000, runs=1)
    summary = summarize(results, metric)
    (one,) = draw(summary).values()
    assert one.get_supylabel().replace("\n ", "") == f"{name} of the attack (%), less is better"
    assert f"test accuracy against {name} of each attack" in one.get_suptitle().replace("\n ", "")
    assert [y for *_, y in bars(one.axes[0])] == [100 * line.attacks["nn"].mean for line in summary.lines]
    dashed = [line for line in one.axes[0].lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[guessing, guessing]]


def test_curves_follow_the_experiment_however_the_table_is_sorted(make_results):
    grid = [{"defense": "crl", "params": {"a": a}, "auc": {"nn": auc}} for a, auc in enumerate((0.7, 0.9, 0.8))]
    summary = summarize(make_results({"auc": {"nn": 0.9}}, *grid, runs=1))
    (one,) = draw(select(summary, Selection(sort="nn"))).values()
    (curve,) = (line for line in one.axes[0].lines if line.get_linestyle() == "-")
    assert list(curve.get_ydata()) == pytest.approx([70, 90, 80])


def test_collapsed_cells_are_hollow(make_results):
    one = figure(make_results({}, {"defense": "crl", "accuracy": 0.25}))
    faces = [container.lines[0].get_markerfacecolor() for container in one.axes[0].containers]
    assert faces == ["black", "white"]
    assert "collapsed (any defense)" in legend(one)


def test_built_in_defenses_have_one_look_and_no_two_share_a_marker(make_results):
    built_in = {found.name for found in discover().all("defense") if found.source == "built-in"}
    fixed = looks_of(*built_in - {"copy"})
    assert fixed_looks().keys() == built_in - {"ce", "copy"}  # a copy is in no cell
    assert len({look.marker for look in fixed.values()}) == len(fixed)
    alone, among = looks_of("advreg"), looks_of("ce", "crl", "aaa", "advreg")
    assert alone["advreg"] == among["advreg"] == fixed["advreg"]
    one = figure(make_results({}, {"defense": "advreg"}))
    assert [marker for marker, *_ in bars(one.axes[0])] == ["*", "<"]


def test_every_defense_has_a_colour_of_its_own_plugins_too():
    names = [*fixed_looks(), *(f"plugin-{i}" for i in range(len(PLUGINS)))]
    looks = looks_of("ce", *names)
    assert len({look.color for look in looks.values()}) == len(names) + 1
    some = looks_of("ce", "crl", *(f"plugin-{i}" for i in range(20)))
    assert len({look.color for look in some.values()}) == len(some)
    many = looks_of("ce", *fixed_looks(), *(f"plugin-{i}" for i in range(60)))
    assert len(set(many.values())) == len(many)
    assert len({look.marker for look in many.values()}) == len(fixed_looks()) + 1


def test_what_is_beaten_is_shaded(make_results):
    worse = {"defense": "dmp", "accuracy": 0.5, "auc": {"entropy": 0.8}}
    one = figure(make_results({}, {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.6}}, worse))
    (shade,) = (found for found in one.axes[0].collections if isinstance(found, FillBetweenPolyCollection))
    (path,) = shade.get_paths()
    assert path.contains_point((50, 80))  # crl beats it in both
    assert path.contains_point((75, 92))  # ce does
    assert not path.contains_point((75, 80))
    assert not path.contains_point((50, 55))
    assert "beaten in both" in legend(one)[-1]


def test_what_collapsed_is_no_part_of_the_front(make_results):
    """It is drawn where it stands, as good as guessing, but does not beat what is worse than it."""
    collapsed = {"defense": "crl", "accuracy": 0.25, "auc": {"entropy": 0.5}}
    one = figure(make_results({"accuracy": 0.8}, collapsed))
    assert [x for _, x, _ in bars(one.axes[0])] == [80, 25]
    (shade,) = (found for found in one.axes[0].collections if isinstance(found, FillBetweenPolyCollection))
    (path,) = shade.get_paths()
    assert path.contains_point((24, 92))  # ce beats it
    assert not path.contains_point((24, 70))


def test_where_all_collapsed_there_is_no_front(make_results):
    one = figure(make_results({"accuracy": 0.25}))
    assert len(bars(one.axes[0])) == 1
    assert not any(isinstance(found, FillBetweenPolyCollection) for found in one.axes[0].collections)
    assert not any("beaten in both" in label for label in legend(one))


def test_the_ablation_shows_the_parts_of_crl_only(make_results):
    parts = [{"defense": name} for name in ("crl", "relaxloss", "imp-relaxloss", "relaxed-center-loss")]
    results = make_results({}, *parts)
    (one,) = draw_ablation(summarize(results)).values()
    assert legend(one)[:4] == ["ce (no defense)", "crl", "imp-relaxloss", "relaxed-center-loss"]
    assert [marker for marker, *_ in bars(one.axes[0])] == [
        look.marker for look in looks_of("ce", "crl", "imp-relaxloss", "relaxed-center-loss").values()
    ]


def test_crl_alone_is_no_ablation(make_results):
    assert draw_ablation(summarize(make_results({}, {"defense": "crl"}, {"defense": "relaxloss"}))) == {}


def test_a_large_grid_is_a_curve_without_tags(make_results):
    grid = [{"defense": "crl", "params": {"alpha_rce": a}} for a in range(MOST_TAGS + 1)]
    one = figure(make_results({}, *grid, runs=1))
    assert tags(one.axes[0]) == []
    assert legend(one)[1].replace("\n ", "") == f"crl, {MOST_TAGS + 1} settings of alpha_rce"
    assert [len(line.get_xdata()) for line in one.axes[0].lines if line.get_linestyle() == "-"] == [MOST_TAGS + 1]


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


def test_the_same_results_give_the_same_file(make_results, tmp_path):
    results = make_results({}, {"defense": "crl"})
    for suffix in ("svg", "pdf", "png"):
        (one,), (other,) = (trade_off(results, tmp_path / f"{name}.{suffix}") for name in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_an_unknown_suffix_is_an_error(make_results, tmp_path):
    with pytest.raises(UserError, match=r"cannot write the plot .*plot\.jpg: its name must end in \.png, \.svg, \.pdf"):
        trade_off(make_results({}), tmp_path / "plot.jpg")


def test_drawing_leaves_no_global_figure_behind(make_results, tmp_path):
    from matplotlib import pyplot

    trade_off(make_results({}), tmp_path / "plot.png")
    assert pyplot.get_fignums() == []
