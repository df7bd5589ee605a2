"""The figure of network sizes: which networks stand together, and what is drawn of them."""

from dataclasses import replace

import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.reports.numbers.cost import Cost, Setup, costs
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import against_size
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store

HERE = frozenset([Setup("cpu", "a processor", 1, 1)])
SMALL, LARGE = "cnn width=0.5", "cnn"


def sized(*labels):
    """What cells of these labels cost, with a small and a large network."""
    cost = Cost(1, 1.0, 1.0, 1, 1, None, 0, HERE)
    sizes = {SMALL: 100, LARGE: 400}
    return {("toy", model, label): replace(cost, parameters=sizes[model]) for model in sizes for label in labels}


def cell(model, defense, accuracy, **auc):
    return {"model": model, "defense": defense, "accuracy": accuracy, "auc": auc}


def drawn(figure):
    """The curves of each panel, in percent, by what stands in the legend's order."""
    return [
        [[(x, pytest.approx(y)) for x, y in container.lines[0].get_xydata().tolist()] for container in axes.containers]
        for axes in figure.axes
    ]


def test_a_curve_joins_the_sizes_of_a_defense_by_its_strongest_attack(make_results):
    results = make_results(
        cell(LARGE, "ce", 0.6, nn=0.8, loss=0.7),
        cell(LARGE, "crl", 0.5, nn=0.6, loss=0.7),
        cell(SMALL, "ce", 0.4, nn=0.65, loss=0.7),
        cell(SMALL, "crl", 0.3, nn=0.6, loss=0.5),
    )
    ((site, figure),) = against_size.draw(summarize(results), sized("ce", "crl")).items()
    assert site == ("toy", "cnn")
    accuracy, attack = figure.axes
    assert drawn(figure) == [
        [[(100, 40), (400, 60)], [(100, 30), (400, 50)]],
        [[(100, 70), (400, 80)], [(100, 60), (400, 70)]],
    ]
    assert (accuracy.get_xscale(), accuracy.get_title()) == ("log", "test accuracy, more is better")
    assert attack.get_title().replace("\n", " ") == "AUC of the strongest attack, less is better"
    assert attack.get_ylim()[0] < 50 < attack.get_ylim()[1]
    figure.draw_without_rendering()
    assert [tick.get_text() for tick in attack.get_xticklabels()] == ["100", "400"]
    assert not attack.get_xticklabels(minor=True)


def test_settings_of_one_defense_are_named_beside_their_curves(make_results):
    cells = [
        {"model": model, "defense": "crl", "params": {"alpha_rce": alpha}}
        for model in (LARGE, SMALL)
        for alpha in (1, 2)
    ]
    costs_of = sized("crl alpha_rce=1", "crl alpha_rce=2")
    (figure,) = against_size.draw(summarize(make_results(*cells)), costs_of).values()
    assert [text.get_text() for text in figure.axes[1].texts] == ["alpha_rce=1", "alpha_rce=2"]


def test_sizes_that_differ_little_have_one_tick(make_results):
    """As where a defense adds a layer of its own."""
    cells = [{"model": model, "defense": name} for model in (LARGE, SMALL) for name in ("ce", "crl")]
    costs_of = sized("ce", "crl")
    costs_of["toy", LARGE, "crl"] = replace(costs_of["toy", LARGE, "crl"], parameters=404)
    (figure,) = against_size.draw(summarize(make_results(*cells)), costs_of).values()
    assert list(figure.axes[0].get_xticks()) == [100, 400]


def test_networks_of_one_size_have_no_figure(make_results):
    summary = summarize(make_results({"model": LARGE}, {"model": LARGE, "defense": "crl"}))
    assert against_size.draw(summary, sized("ce", "crl")) == {}


def test_networks_whose_size_the_store_does_not_say_are_left_out(make_results):
    summary = summarize(make_results({"model": LARGE}, {"model": SMALL}))
    known = sized("ce")
    assert len(against_size.draw(summary, known)) == 1
    assert against_size.draw(summary, {key: replace(cost, parameters=None) for key, cost in known.items()}) == {}


def test_a_training_counts_the_numbers_it_sets(tiny, tmp_path):
    """An mlp's weights and biases, by hand."""
    experiment = tiny(model=[{"name": "mlp", "hidden": [[8], [16]]}], defense=["ce"])
    miabench.run(experiment, store=tmp_path / "store", executor="inline")
    store = Store(tmp_path / "store")
    results = Results(Index.load(store, load_experiment(experiment)), store)
    network = next(entry.network for entry in results.index.entries if entry.network)
    prepared = store.manifest(network).spec["preparation"]
    inputs, classes = int(prepared["shape"].strip("(),")), int(prepared["num_classes"])
    assert {key.model: cost.parameters for key, cost in costs(results).items()} == {
        f"mlp hidden=[{width}]": (inputs + 1) * width + (width + 1) * classes for width in (8, 16)
    }
    assert list(against_size.draw(summarize(results), costs(results))) == [("toy", "mlp")]
