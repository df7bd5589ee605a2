"""A report that was made before is the same again, and reads hardly anything; what is new is in the next one."""

import pytest

from miabench.reports.numbers.recommendation import recommend
from miabench.reports.numbers.selection import Selection
from miabench.reports.write import Report
from miabench.results import derived
from miabench.results.gate import Limit, gate
from miabench.results.results import Results
from miabench.store.store import Store

CELLS = (
    {"accuracy": (0.8, 0.82, 0.79), "auc": {"entropy": (0.7, 0.72, 0.74), "nn": 0.66, "label-only": "needs images"}},
    {"defense": "crl", "accuracy": (0.8, 0.79, 0.78), "auc": {"entropy": 0.6, "nn": (0.58, None, 0.57)}},
    {"defense": "relaxloss", "params": {"alpha": 0.1}, "accuracy": 0.77, "auc": {"entropy": 0.61, "nn": 0.6}},
    {"defense": "early-stopping", "accuracy": (0.7, None, None), "auc": {"entropy": None}, "failure": "log\nno memory"},
    {"defense": "dpsgd", "reason": "not for text"},
)
ACCESS = {"entropy": "black-box", "nn": "white-box", "label-only": "label"}

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def results(make_results):
    return make_results(*CELLS, runs=3, attackers=("adaptive", "non-adaptive"), access=ACCESS)


def again(results):
    """The same as another process finds them."""
    return Results(results.index, Store(results.store.folder, create=False))


@pytest.fixture
def checked(monkeypatch):
    """The artifacts that are opened from now on."""
    found = []
    check = Store.check
    monkeypatch.setattr(Store, "check", lambda store, ref: [found.append(ref), check(store, ref)][1])
    return found


@pytest.mark.parametrize("metric", ["auc", "balanced_accuracy"])
def test_a_report_is_the_same_again_in_every_form(results, metric):
    for form in ("table", "markdown", "latex", "json"):
        made = [Report(again(results), selection=Selection(metric), details=True).text(form) for _ in range(2)]
        assert made[0] == made[1], form


def test_a_table_made_again_reads_hardly_anything(results, checked, cache):
    first = Report(again(results), details=False).text()
    opened = len(checked)
    second = Report(again(results), details=False).text()
    assert first == second
    assert opened > 100
    assert len(checked) - opened <= 1, "the first target alone, for its classes"
    for file in cache.rglob("*.json"):
        file.unlink()
    assert Report(again(results), details=False).text() == first


def test_advice_is_the_same_again(results, checked):
    def advised():
        made = Report(again(results))
        found = [*recommend(made.results, made.summary, made.judged, 10.0)]
        made.results.derived.save()
        return found

    first = advised()
    opened = len(checked)
    assert advised() == first
    assert len(checked) - opened <= 1


def test_a_selection_is_of_the_same_numbers(results):
    selection = Selection(rows=("crl",), columns=("nn",), sort="worst")
    alone = Report(again(results), selection=selection, details=True).text()
    Report(again(results), details=True).text()
    assert Report(again(results), selection=selection, details=True).text() == alone


def test_a_gate_is_the_same_again(results, checked):
    limits = [Limit("auc", 0.75), Limit("far", 0.5)]
    first = [*gate(again(results), limits)]
    opened = len(checked)
    assert [*gate(again(results), limits)] == first
    assert len(checked) == opened == len(set(checked)), "nothing was opened twice"


def test_what_is_new_is_in_the_next_report(results):
    first = Report(again(results)).text()
    (entry,) = (
        entry
        for entry in results.index.entries
        if results.index.cells[entry.cell].defense == "crl"
        and (entry.run, entry.attack, entry.attacker) == (1, "nn", "adaptive")
    )
    key = entry.metrics.key
    results.store.set_failure(key, "its worker was killed")
    second = Report(again(results)).text()
    assert "its worker was killed" not in first
    assert "its worker was killed" in second
    results.store.set_failure(key, None)
    assert Report(again(results)).text() == first


def test_damage_is_said_again(results):
    Report(again(results)).text()
    entry = next(entry for entry in results.index.entries if entry.attack)
    path = results.store.path(entry.metrics) / "rows.json"
    path.write_text(path.read_text().replace("0", "1"))
    with pytest.raises(derived.UserError, match=r"rows\.json is damaged"):
        Report(again(results)).text()


def test_differences_are_computed_again_where_the_baseline_s_scores_are_others(results, checked):
    """They were in memory when the differences were computed."""
    Report(again(results)).text()
    before = len(checked)
    base, defended = (
        [entry.records for entry in results.entries(cell) if (entry.attack, entry.attacker) == ("entropy", "adaptive")]
        for cell in results.index.cells[:2]
    )
    path = results.store.path(base[0]) / "arrays.npz"
    path.write_bytes(path.read_bytes())
    Report(again(results)).text()
    assert {*defended} <= {*checked[before:]}
