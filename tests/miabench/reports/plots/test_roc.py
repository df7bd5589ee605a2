"""ROC curves: exact points, a band that is the bootstrap's, and what the figure shows of them."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from miabench.metrics import tpr_at_fpr
from miabench.metrics.bootstrap import record_draws, run_shares
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import roc as figures
from miabench.reports.plots.roc_band import roc
from miabench.reports.plots.style import choose_looks

MEMBERS = np.array([True, True, True, True, False, False, False, False])


def test_points_by_hand():
    # falling: member 9, non-member 8, members 7 and 7, a tie of a member and a non-member at 5, two non-members
    curve = roc(np.array([[9.0, 7, 7, 5, 8, 5, 2, 1]]), MEMBERS)
    assert curve.fpr.tolist() == [0.25, 0.5, 0.75, 1]
    assert curve.tpr.tolist() == [0.75, 1, 1, 1]


def test_a_block_of_equal_scores_is_taken_together_or_not_at_all():
    curve = roc(np.array([[5.0, 5, 5, 1, 5, 5, 2, 0]]), MEMBERS)
    assert curve.tpr.tolist() == [0, 0.75, 1, 1]


def test_runs_are_averaged_at_each_false_positive_rate():
    scores = np.array([[9.0, 9, 9, 9, 1, 1, 2, 3], [0.0, 0, 0, 9, 1, 2, 3, 4]])
    assert roc(scores, MEMBERS).tpr.tolist() == [(1 + 0.25) / 2] * 3 + [1]


def test_points_are_those_of_the_metric():
    rng = np.random.default_rng(1)
    members = np.arange(700) < 300
    scores = np.round(rng.normal(members, 1), 1)  # with ties
    curve = roc(scores[None], members, replicates=5)
    for fpr, tpr in zip(curve.fpr[:-1], curve.tpr[:-1], strict=True):
        assert tpr == pytest.approx(tpr_at_fpr(scores, members, float(fpr)).value, abs=1e-12)


def test_the_band_is_the_crossed_bootstrap():
    """Slow twin: every replicate as an explicit list of records and runs."""
    rng = np.random.default_rng(2)
    members = np.arange(60) < 30
    scores = np.round(rng.normal(members, 1, size=(3, 60)), 1)
    curve = roc(scores, members, replicates=40)
    drawn = np.concatenate([*record_draws(members, 40, 0)], axis=1).astype(int)
    shares = run_shares(3, 40, 0)
    replicates = np.zeros((40, len(curve.fpr)))
    for b in range(40):
        records = np.repeat(np.arange(60), drawn[:, b])
        for r, share in enumerate(shares[b]):
            taken = scores[r][records]
            thresholds = np.unique(taken)
            fprs, tprs = (
                np.array([(taken[kind] >= t).mean() for t in thresholds] + [0])
                for kind in (~members[records], members[records])
            )
            replicates[b] += share * np.array([tprs[fprs <= fpr + 1e-12].max() for fpr in curve.fpr])
    low, high = np.quantile(replicates, [0.025, 0.975], axis=0)
    seen = 0.025 ** (1 / 30)
    assert curve.low == pytest.approx(np.minimum(low, curve.tpr * seen))
    assert curve.high == pytest.approx(np.maximum(high, 1 - (1 - curve.tpr) * seen))


def test_the_figure_draws_these_points_on_logarithmic_axes(make_results):
    results = make_results({"auc": {"nn": 0.9, "loss": 0.8}}, {"defense": "crl", "auc": {"nn": 0.7, "loss": None}})
    (one,) = figures.draw(results, summarize(results)).values()
    assert [axes.get_title() for axes in one.axes] == ["nn", "loss"]
    axes = one.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    guessing, ce, crl = axes.lines
    assert list(guessing.get_xdata()) == list(guessing.get_ydata())
    for line, defense in ((ce, "ce"), (crl, "crl")):
        cell = next(cell for cell in results.index.cells if cell.defense == defense)
        runs = [*results.targets(cell, "adaptive", "nn").values()]
        curve = roc(np.stack([one.values for one in runs]), runs[0].members)
        assert list(line.get_xdata()) == list(curve.fpr)
        assert list(line.get_ydata()) == list(curve.tpr)
    assert len(one.axes[1].lines) == 2  # crl's job is not done
    assert len(axes.collections) == 2  # a band each
    aucs = [
        100
        * np.mean(
            results.table[
                (results.table.metric == "auc") & (results.table.attack == "nn") & (results.table.defense == name)
            ].value
        )
        for name in ("ce", "crl")
    ]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"{auc:.1f}" for auc in aucs]
    assert axes.get_xlim()[1] == axes.get_ylim()[1] == 1


def test_the_baseline_and_the_least_auc_have_bands(make_results):
    others = [{"defense": name, "auc": {"nn": auc}} for name, auc in (("crl", 0.7), ("dmp", 0.6), ("relaxloss", 0.8))]
    results = make_results({"auc": {"nn": 0.9}}, *others)
    (one,) = figures.draw(results, summarize(results)).values()
    looks = choose_looks(results.index.cells)
    colors = [to_hex(band.get_facecolor()[0]).upper() for band in one.axes[0].collections]
    assert colors == [to_hex(looks[name].color).upper() for name in ("ce", "dmp")]


def test_the_figure_says_what_it_shows(make_results):
    grid = [{"defense": "crl", "params": {"a": a}} for a in (1, 2)]
    results = make_results({}, *grid, runs=3)
    (one,) = figures.draw(results, summarize(results)).values()
    heading = one.get_suptitle().replace("\n ", "")
    assert (
        "mean over 3 trainings, band: pointwise 95% interval over records and runs, of no defense and of the least AUC"
        in heading
    )
    assert "n = 40 members, 40 non-members" in heading
    assert "one setting of each defense" in heading
    assert [text.get_text() for text in one.legends[0].get_texts()] == [
        "ce (no defense)", "crl a=1", "95% interval", "guessing",
    ]  # fmt: skip


def test_of_models_with_members_of_their_own_one_is_drawn_and_said(make_results):
    results = make_results({}, runs=6, pool=True)
    (one,) = figures.draw(results, summarize(results)).values()
    assert "\none training, band: pointwise 95% interval over records, of" in one.get_suptitle()


def test_without_scores_there_is_no_figure(make_results):
    results = make_results({"auc": {"entropy": None}})
    assert figures.draw(results, summarize(results)) == {}
