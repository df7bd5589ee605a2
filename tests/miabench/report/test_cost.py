"""Costs count everything a target started from; the adaptivity gap is what knowing the defense brings."""

import io

import pytest

import miabench
from miabench.experiment import load_experiment
from miabench.index import Index
from miabench.report.adaptivity import adaptivity_gaps
from miabench.report.cost import costs
from miabench.report.difference import compare
from miabench.report.layout import open_console
from miabench.report.summary import summarize
from miabench.report.table import show
from miabench.results import Results
from miabench.store import Store


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
    assert of(results, "ce").measured_with == ("cpu", 1, 1)


def test_the_adaptivity_gap(results):
    summary = summarize(results)
    gaps = adaptivity_gaps(summary)
    assert len(gaps) == 3
    by_hand = {(line.cell.label, line.attacker): line.attacks["nn"].mean for line in summary.lines}
    for (*_, label), gap in gaps.items():
        assert gap["margin"] == 0, "it learns nothing from shadow models"
        assert gap["nn"] == pytest.approx(by_hand[label, "adaptive"] - by_hand[label, "non-adaptive"])
    assert next(gap["nn"] for (*_, label), gap in gaps.items() if label == "ce") == 0


def test_both_are_shown(results):
    summary = summarize(results)
    text = io.StringIO()
    show(open_console(text), summary, compare(results, summary), costs(results))
    assert "adaptivity gap: AUC of the adaptive attacker minus that of the non-adaptive one" in text.getvalue()
    assert "cost of one target, everything it starts from included" in text.getvalue()
    assert "records" in text.getvalue()
    assert "CPU" in text.getvalue()
