"""Costs count everything a target started from; the adaptivity gap is what knowing the defense brings."""

import html
import re

import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.reports.numbers.adaptivity import adaptivity_gaps
from miabench.reports.numbers.cost import Cost, Setup, costs
from miabench.reports.numbers.summary import summarize
from miabench.reports.write import report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store


@pytest.fixture(scope="module")
def results(tmp_path_factory, tiny):
    """Three defenses, one of which starts from other trainings and one of which withholds records; both attackers."""
    store = tmp_path_factory.mktemp("cost") / "store"
    experiment = tiny(
        defense=["ce", "subset-ensemble", {"name": "second-network", "share": 0.25}],
        attacks=["margin", "nn"],
        runs=2,
        attacker={"shadow_defense": "both"},
        more_plugins=["subset_ensemble", "second_network"],
    )
    miabench.run(experiment, store=store, executor="inline")
    return Results(Index.load(Store(store), load_experiment(experiment)), Store(store))


def of(results, label):
    return next(cost for (*_, name), cost in costs(results).items() if name.startswith(label))


def test_everything_that_a_target_started_from_counts(results):
    ce, ensemble = of(results, "ce"), of(results, "subset-ensemble")
    assert (ce.trainings, ensemble.trainings) == (1, 4)
    assert ce.forwarded == ce.differentiated == 3 * 40
    # three models on two thirds each, their answers to all 40 members, and the student
    assert ensemble.differentiated == 3 * (27 + 27 + 26) + 3 * 40
    assert ensemble.forwarded == ensemble.differentiated + 3 * 40
    assert ce.cpu_seconds > 0
    assert ensemble.cpu_seconds > 0


def test_withheld_records_and_answers(results):
    assert (of(results, "ce").withheld, of(results, "second-network").withheld) == (0, 10)
    assert of(results, "ce").answering > 0
    (setup,) = of(results, "ce").measured_with
    assert (setup.device, setup.threads, setup.workers) == ("cpu", 1, 1)


HERE = Setup("cpu", "a processor", threads=1, workers=1)
GPU = Setup("cuda", "an accelerator", threads=1, workers=1)


def seconds(processor, wall, *setups):
    return Cost(1, wall, processor, 1, 1, None, 0, frozenset(setups))


def test_a_ratio_is_of_processor_seconds_and_on_an_accelerator_of_its_own():
    assert seconds(6.0, 1.0, HERE).ratio(seconds(2.0, 9.0, HERE)) == 3
    assert seconds(6.0, 1.0, GPU).ratio(seconds(2.0, 4.0, GPU)) == 0.25
    assert seconds(6.0, 1.0, HERE).ratio(seconds(0.0, 1.0, HERE)) is None
    assert seconds(6.0, 1.0, HERE).ratio(None) is None


@pytest.mark.parametrize(
    "other",
    [GPU, HERE._replace(threads=2), HERE._replace(workers=2), HERE._replace(processor="another")],
    ids=["device", "threads", "workers", "processor"],
)
def test_there_is_no_ratio_between_times_measured_differently(other):
    one, another, mixed = seconds(6.0, 1.0, HERE), seconds(2.0, 1.0, other), seconds(2.0, 1.0, HERE, other)
    assert one.ratio(another) is one.ratio(mixed) is mixed.ratio(one) is mixed.ratio(mixed) is None


def test_every_training_of_every_run_tells_how_it_was_measured(results, monkeypatch):
    """Of the networks behind the second run, one was trained beside another."""
    manifest = results.store.manifest
    cell = next(cell for cell in results.index.cells if cell.defense == "subset-ensemble")
    target = results.accuracy_entries(cell)[1].network
    odd = manifest(target).spec["given"]["without-1"]

    def with_two_workers(ref):
        found = manifest(ref)
        if ref.key != odd:
            return found
        return found.model_copy(update={"cost": found.cost.model_copy(update={"workers": 2})})

    monkeypatch.setattr(results.store, "manifest", with_two_workers)
    assert {setup.workers for setup in of(results, "subset-ensemble").measured_with} == {1, 2}
    assert of(results, "subset-ensemble").ratio(of(results, "ce")) is None


def test_the_adaptivity_gap(results):
    summary = summarize(results)
    gaps = adaptivity_gaps(results, summary)
    assert len(gaps) == 3
    by_hand = {(line.cell.label, line.attacker): line.attacks["nn"].mean for line in summary.lines}
    for (*_, label), gap in gaps.items():
        assert gap["margin"].value == 0, "it learns nothing from shadow models"
        apart = by_hand[label, "adaptive"] - by_hand[label, "non-adaptive"]
        assert gap["nn"].value == pytest.approx(apart)
        assert gap["nn"].low <= apart <= gap["nn"].high
    assert next(gap["nn"].value for (*_, label), gap in gaps.items() if label == "ce") == 0


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])
def test_both_are_shown(results, capsys, form):
    """The gap of each attack in every form; costs where tables are not those of a paper."""
    report(results, form, details=True)
    words = " ".join(html.unescape(re.sub(r"<[^>]*>|[\\*|${}]|scriptsize", " ", capsys.readouterr().out)).split())
    assert "adaptivity gap: AUC of the adaptive attacker minus that of the non-adaptive one" in words
    gaps = adaptivity_gaps(results, summarize(results))
    gap = next(gap["nn"] for (*_, label), gap in gaps.items() if "second" in label)
    assert f"{100 * gap.value:+.2f}[{100 * gap.low:+.2f},{100 * gap.high:+.2f}]" in words.replace(" ", "")
    if form != "latex":
        assert "cost of one target, everything it starts from included" in words
        assert f"{of(results, 'subset-ensemble').ratio(of(results, 'ce')):.2f}" in words
        assert "answers" in words
        assert f"{of(results, 'subset-ensemble').forwarded:,.0f}" in words
