"""Figures of what targets answer, from a real run: distances, histograms with their overlap, and costs."""

import json

import numpy as np
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.special import expit, logit

import miabench
from miabench.experiment.load import load_experiment
from miabench.logprob import log_odds
from miabench.reports.numbers.consistency import BOUNDARY, CONFIDENCE, consistency, overlaps, shares
from miabench.reports.numbers.cost import Cost, Setup, costs
from miabench.reports.numbers.records import CellRecords, log_odds_of_distance
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import against_cost, all_plots, histograms
from miabench.reports.plots import origin_boundary as origin
from miabench.reports.plots.figure import SUFFIXES, save
from miabench.reports.plots.records import SiteRecords, load_records
from miabench.reports.write import Report
from miabench.results.index import Cell, Index
from miabench.results.results import Results
from miabench.store.store import Store


@pytest.fixture(scope="module")
def results(tmp_path_factory, tiny):
    """Two defenses, two runs."""
    store = tmp_path_factory.mktemp("answers") / "store"
    experiment = tiny(defense=["ce", "crl"], runs=2)
    miabench.run(experiment, store=store, executor="inline")
    return Results(Index.load(Store(store), load_experiment(experiment)), Store(store))


@pytest.fixture(scope="module")
def by_hand(results):
    """Of each cell's runs: membership, true class, softmax in plain float64, feature norm; straight from the files."""
    folder = results.store.folder
    found = {}
    for entry in results.index.entries:
        if entry.attack is None:
            metrics = folder / "metrics" / entry.metrics.key
            target = np.load(metrics / "arrays.npz")
            logits = json.loads((metrics / "manifest.json").read_text())["spec"]["logits"]
            pool = np.load(folder / "observations" / logits / "arrays.npz")
            z = pool["answers"].astype(np.float64)[target["target_row"]]
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            norm = pool["feature_norm"][target["target_row"]]
            found[entry.cell, entry.run] = target["target_member"], target["target_label"], p, norm
    return found


def test_distance_to_the_boundary_is_the_largest_probability_minus_the_second():
    logits = np.log([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [0.4, 0.2, 0.4]])
    assert log_odds_of_distance(logits) == pytest.approx([0, np.log(1 / 3), -np.inf], abs=1e-12)


def test_log_odds_keep_what_probabilities_round_away():
    """By hand: p = (1, e^-40, e^-50) / sum; 1 - p_1 is e^-40 + e^-50, and 1 - d has p_2 twice."""
    logits = np.array([[0.0, -40, -50]])
    assert log_odds_of_distance(logits) == pytest.approx([40 - np.log(2 + np.exp(-10))], abs=1e-12)
    assert log_odds(logits, np.array([0])) == pytest.approx([-np.log(np.exp(-40) + np.exp(-50))], abs=1e-12)
    assert log_odds(logits, np.array([1])) == pytest.approx([-40], abs=1e-12)


def test_what_is_seen_of_each_record(results, by_hand):
    (view,) = load_records(results, summarize(results)).values()
    assert [seen.cell.label for seen in view.cells] == ["ce", "crl"]
    assert view.choice == ""
    for i, seen in enumerate(view.cells):
        for run in range(2):
            member, label, p, norm = by_hand[i, run]
            falling = -np.sort(-p, axis=1)
            assert (seen.members == member).all()
            assert expit(seen.to_boundary[run]) == pytest.approx(falling[:, 0] - falling[:, 1], abs=1e-12)
            assert expit(seen.confidence[run]) == pytest.approx(p[np.arange(len(p)), label], abs=1e-12)
            assert seen.to_origin[run] == pytest.approx(norm, abs=0)


def test_the_overlap_coefficient():
    one = shares(np.array([[-np.inf, -3.99, 11.9, 5], [5, 5, 5, 5.0]]), BOUNDARY)
    other = shares(np.array([[-9, 11.9, 30, 99], [1, 1, 1, 1.0]]), BOUNDARY)
    assert one.sum(axis=1) == pytest.approx([1, 1])
    assert overlaps(one, other) == pytest.approx([0.25 + 0.25, 0])
    assert overlaps(one, one) == pytest.approx([1, 1])


@pytest.mark.parametrize("quantity", [BOUNDARY, CONFIDENCE])
def test_shares_are_those_of_a_histogram_of_each_run(quantity):
    """On edges, beside them and beyond them too."""
    edges = np.concatenate([np.nextafter(quantity.bins, side) for side in (-np.inf, np.inf)])
    values = np.concatenate([quantity.bins, edges, [-np.inf, np.inf, -99, 99]])
    runs = np.stack([values, np.random.default_rng(0).normal(scale=9, size=len(values))])
    counted = [np.histogram(np.clip(run, *quantity.bins[[0, -1]]), quantity.bins)[0] for run in runs]
    assert (shares(runs, quantity) == np.stack(counted) / len(values)).all()


def test_consistency_is_the_overlap_that_the_figure_shows(results):
    """And members and non-members that were drawn alike overlap more than these, and less than wholly."""
    found = consistency(results, summarize(results))
    assert [(one.cell.label, one.quantity) for one in found] == [
        (label, quantity) for label in ("ce", "crl") for quantity in (BOUNDARY, CONFIDENCE)
    ]
    (drawn,) = histograms.draw(load_records(results, summarize(results)), BOUNDARY).values()
    for axes, one in zip(drawn.axes, found[::2], strict=True):
        assert f"overlap {one.overlaps.mean():.3f} ± {one.overlaps.std(ddof=1):.3f}" in axes.get_title()
        assert 0.3 < one.if_alike < 0.95


def test_an_approach_has_a_row_and_its_settings_one_vertical_scale():
    def seen(name, i, spread):
        values = np.random.default_rng(i).normal(3, spread, (1, 400))
        counts = {"members": 200, "non-members": 200}
        cell = Cell(dataset="toy", model="mlp", defense=name, params={"a": i}, counts=counts)
        return CellRecords(cell, np.arange(400) < 200, values, values, values)

    cells = [seen("ce", 0, 1), seen("crl", 1, 0.1), seen("crl", 2, 3), seen("dmp", 3, 1), seen("crl", 4, 1)]
    (one,) = histograms.draw({("toy", "mlp"): SiteRecords(cells, "")}, BOUNDARY).values()
    places = [(axes.get_subplotspec().rowspan.start, axes.get_subplotspec().colspan.start) for axes in one.axes]
    assert places == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]
    tops = [axes.get_ylim()[1] for axes in one.axes]
    assert tops[1] == tops[2] == tops[3] > tops[0]


@pytest.mark.parametrize("quantity", [BOUNDARY, CONFIDENCE])
def test_histograms_are_of_members_and_non_members_with_their_overlap(results, by_hand, quantity):
    (one,) = histograms.draw(load_records(results, summarize(results)), quantity).values()
    assert len(one.axes) == 2
    for i, axes in enumerate(one.axes):
        counted = []
        for run in range(2):
            member, label, p, _ = by_hand[i, run]
            falling = -np.sort(-p, axis=1)
            values = falling[:, 0] - falling[:, 1] if quantity is BOUNDARY else p[np.arange(len(p)), label]
            values = np.clip(logit(values), quantity.bins[0], quantity.bins[-1])
            counted.append([np.histogram(values[kind], quantity.bins)[0] / kind.sum() for kind in (member, ~member)])
        members, others, outline = (patch.get_data().values for patch in axes.patches)
        assert members == pytest.approx(100 * np.mean([run[0] for run in counted], axis=0))
        assert others == pytest.approx(100 * np.mean([run[1] for run in counted], axis=0))
        assert outline == pytest.approx(others)
        overlap = [np.minimum(*run).sum() for run in counted]
        name = ("ce (no defense)", "crl")[i]
        assert axes.get_title() == f"{name}\noverlap {np.mean(overlap):.3f} ± {np.std(overlap, ddof=1):.3f}"
        assert axes.get_ylim()[0] == 0
        assert axes.get_xlim() == (quantity.bins[0], quantity.bins[-1])
    heading = one.get_suptitle().replace("\n ", "")
    assert quantity.name in heading
    assert "2 trainings; n = 40 members, 40 non-members" in heading


def test_distance_to_the_origin_against_distance_to_the_boundary(results, by_hand):
    (one,) = origin.draw(load_records(results, summarize(results))).values()
    assert [axes.get_title() for axes in one.axes] == ["ce (no defense)", "crl"]
    member, _, p, norm = by_hand[1, 0]
    falling = -np.sort(-p, axis=1)
    (points,) = one.axes[1].collections
    expected = sorted(zip(norm, falling[:, 0] - falling[:, 1], strict=True))
    assert np.array(sorted(map(tuple, points.get_offsets().tolist()))) == pytest.approx(np.array(expected), abs=1e-6)
    colors = np.unique(points.get_facecolors(), axis=0, return_counts=True)[1]
    assert sorted(colors) == sorted([member.sum(), (~member).sum()])
    assert one.axes[0].get_xlim()[0] == 0


def test_at_most_a_thousand_points_of_each_kind_are_drawn():
    members = np.arange(3000) < 1500
    cell = Cell(dataset="toy", model="mlp", defense="ce", params={}, counts={"members": 1500, "non-members": 1500})
    ones = np.ones((1, 3000))
    (one,) = origin.draw({("toy", "mlp"): SiteRecords([CellRecords(cell, members, ones / 2, ones, ones)], "")}).values()
    assert len(one.axes[0].collections[0].get_offsets()) == 2000
    assert "at most 1,000 of each drawn" in one.get_suptitle().replace("\n ", "")


def test_cost_against_the_strongest_attack(results):
    spent = costs(results)
    (one,) = against_cost.draw(summarize(results), spent).values()
    (axes,) = one.axes
    drawn = [container.lines[0] for container in axes.containers]
    for line, label in zip(drawn, ("ce", "crl"), strict=True):
        table = results.table
        aucs = table[(table.defense == label) & (table.metric == "auc")].value
        assert list(line.get_xdata()) == [spent["toy", "mlp hidden=[16]", label].cpu_seconds]
        assert list(line.get_ydata()) == [pytest.approx(100 * aucs.mean())]
    assert "CPU seconds" in one.get_supxlabel()
    assert "strongest attack" in one.get_supylabel()


def fake_costs(**seconds):
    elsewhere = {"crl": Setup("cpu", "another", 1, 1)}
    return {
        ("toy", "mlp", name): Cost(1, value, value, 1, 1, None, 0, frozenset([elsewhere.get(name, HERE)]))
        for name, value in seconds.items()
    }


HERE = Setup("cpu", "a processor", 1, 1)


def test_the_strongest_attack_is_the_one_of_largest_mean(make_results):
    summary = summarize(
        make_results({"auc": {"nn": 0.7, "loss": 0.8}}, {"defense": "dmp", "auc": {"nn": 0.6, "loss": None}})
    )
    (one,) = against_cost.draw(summary, fake_costs(ce=2.0, dmp=5.0)).values()
    points = [tuple(map(float, c.lines[0].get_xydata()[0])) for c in one.axes[0].containers]
    assert points == [(2, pytest.approx(80)), (5, pytest.approx(60))]
    assert one.axes[0].get_xscale() == "linear"
    assert one.axes[0].get_xlim()[0] == 0


def test_costs_of_different_magnitude_are_on_a_logarithmic_axis_and_different_devices_are_told(make_results):
    summary = summarize(make_results({}, {"defense": "crl"}))
    (one,) = against_cost.draw(summary, fake_costs(ce=1.0, crl=11.0)).values()
    assert one.axes[0].get_xscale() == "log"
    assert "times were measured on different devices" in one.get_suptitle().replace("\n ", "")


def test_seconds_on_an_accelerator_are_the_accelerators(make_results):
    gpu = frozenset([Setup("cuda", "an accelerator", 1, 1)])
    spent = {("toy", "mlp", name): Cost(1, 7.0, 3.0, 1, 1, None, 0, gpu) for name in ("ce", "crl")}
    (one,) = against_cost.draw(summarize(make_results({}, {"defense": "crl"})), spent).values()
    assert [float(c.lines[0].get_xdata()[0]) for c in one.axes[0].containers] == [7, 7]
    assert one.get_supxlabel().startswith("wall seconds")


def test_without_costs_there_is_no_figure(make_results):
    assert against_cost.draw(summarize(make_results({})), {}) == {}


def plotted(results, folder):
    return all_plots(results, Report(results).tabled, folder)


def test_all_plots_writes_what_the_results_support(results, tmp_path):
    written = plotted(results, tmp_path / "new")
    names = [
        "worst-cases",
        "trade-off",
        "cost",
        "attacks",
        "roc",
        "lrc",
        "boundary-histograms",
        "confidence-histograms",
        "origin-boundary",
    ]
    assert [path.name for path in written] == [f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    heads = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(heads[path.suffix]) for path in written)
    assert not any(b"/Type3" in path.read_bytes() for path in written if path.suffix == ".pdf"), "publishers refuse it"


def test_all_plots_of_results_without_networks(make_results, tmp_path):
    results = make_results({}, {"defense": "crl"}, {"defense": "imp-relaxloss"})
    written = plotted(results, tmp_path)
    assert list(dict.fromkeys(path.stem for path in written)) == [
        "worst-cases",
        "trade-off",
        "ablation",
        "attacks",
        "roc",
    ]


def test_all_plots_of_nothing(make_results, tmp_path):
    results = make_results({"accuracy": None, "auc": {"nn": None}})
    assert plotted(results, tmp_path / "new") == []
    assert not (tmp_path / "new").exists()


def test_a_figure_is_laid_out_once_for_all_formats(results, tmp_path, monkeypatch):
    laid_out = []
    execute = ConstrainedLayoutEngine.execute
    monkeypatch.setattr(
        ConstrainedLayoutEngine, "execute", lambda self, fig: laid_out.append(fig) or execute(self, fig)
    )
    save(histograms.draw(load_records(results, summarize(results)), BOUNDARY), tmp_path / "plot", SUFFIXES)
    assert len(laid_out) == 1
