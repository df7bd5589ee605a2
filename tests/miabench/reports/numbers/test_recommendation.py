"""The recommendation is the one that the numbers give by hand, and says how sure it is."""

from dataclasses import replace

import numpy as np
import pytest

from miabench.errors import UserError
from miabench.metrics.bootstrap import replicate_aucs
from miabench.reports.numbers.recommendation import in_words, points, recommend
from miabench.reports.numbers.summary import summarize
from miabench.results.results import Results

CE = {"accuracy": 0.8, "auc": {"entropy": 0.9, "nn": 0.85}}
CHEAP = {"defense": "relaxloss", "accuracy": 0.8, "auc": {"entropy": 0.8, "nn": 0.7}}
DEAR = {"defense": "crl", "accuracy": 0.6, "auc": {"entropy": 0.55, "nn": 0.6}}
WORSE = {"defense": "dmp", "accuracy": 0.5, "auc": {"entropy": 0.7, "nn": 0.95}}


def advise(results, budget):
    return next(recommend(results, summarize(results), budget))


def test_the_worst_case_within_the_budget(make_results):
    results = make_results(CE, CHEAP, DEAR, WORSE, runs=2)
    small, large = advise(results, 5.0), advise(results, 25.0)
    assert small.chosen.line.cell.defense == "relaxloss"
    assert (small.chosen.attack, small.chosen.worst.value) == ("entropy", pytest.approx(0.8))
    assert small.chosen.cost == pytest.approx(0)
    assert large.chosen.line.cell.defense == "crl"
    assert (large.chosen.attack, large.chosen.worst.value) == ("nn", pytest.approx(0.6))
    assert large.chosen.cost == pytest.approx(0.2)
    assert [one.line.cell.defense for one in large.candidates] == ["crl", "relaxloss", "ce", "dmp"]


def test_what_is_dominated(make_results):
    candidates = {one.line.cell.defense: one for one in advise(make_results(CE, CHEAP, DEAR, WORSE), 5.0).candidates}
    assert candidates["relaxloss"].dominated_by == ()
    assert candidates["crl"].dominated_by == ()
    assert candidates["ce"].dominated_by == ("relaxloss",)
    assert set(candidates["dmp"].dominated_by) == {"ce", "relaxloss", "crl"}


def test_ce_itself_where_nothing_is_better(make_results):
    results = make_results(CE, WORSE)
    assert advise(results, 1.0).chosen.line.is_baseline


def test_how_sure_it_is(make_results):
    clear = advise(make_results(CE, CHEAP, DEAR, runs=2), 5.0)
    assert clear.confidence > 0.95


def test_how_unsure_it_is(make_results):
    """Two defenses that are alike on average, each better in one of the runs."""
    one = CHEAP | {"auc": {"entropy": (0.85, 0.75), "nn": 0.5}}
    other = CHEAP | {"defense": "crl", "auc": {"entropy": (0.75, 0.85), "nn": 0.5}}
    undecided = advise(make_results(CE, one, other, runs=2), 5.0)
    assert 0.05 < undecided.confidence < 0.95


def test_the_maximum_is_taken_inside_each_replicate(make_results):
    results = make_results(CE, CHEAP, runs=2)
    chosen = advise(results, 5.0).chosen
    parts = [results.records(chosen.line.cell, "adaptive", attack) for attack in ("entropy", "nn")]
    drawn = replicate_aucs(np.stack([part.values for part in parts]), parts[0].members).max(1)
    assert chosen.worst.low == pytest.approx(np.quantile(drawn, 0.025))
    assert chosen.worst.high == pytest.approx(np.quantile(drawn, 0.975))


class Tied(Results):
    """Scores that follow from correctness: what relaxloss classifies wrongly scores above all members, what it
    classifies correctly below. So its AUC is its accuracy, in whatever runs and records are drawn. crl has AUC 1/2
    and CE AUC 1 in all of them, and both are always right.
    """

    def records(self, cell, attacker=None, attack=None):
        found = super().records(cell, attacker, attack)
        values = np.ones_like(found.values)
        if cell.defense == "relaxloss":
            wrong = np.random.default_rng(1).random(values.shape) < [[0.4], [0.65]]
            values = np.where(found.members, 0.5, wrong) if attack else (~wrong).astype(float)
        elif cell.defense == "ce" and attack:
            values = values * found.members
        return replace(found, values=values)


def test_accuracy_and_auc_are_drawn_on_the_same_runs_and_records(make_results):
    """relaxloss is within the budget where its accuracy is 1/2 or more, and then its AUC is no lower than crl's."""
    made = make_results({}, {"defense": "crl"}, {"defense": "relaxloss"}, runs=2, records=60)
    results = Tied(made.index, made.store)
    drawn = advise(results, 50.0)
    assert drawn.chosen.line.cell.defense == "crl"
    relaxed = next(one for one in drawn.candidates if one.line.cell.defense == "relaxloss")
    assert relaxed.worst.value == pytest.approx(1 - relaxed.cost)
    assert relaxed.worst.low < 0.5 < relaxed.worst.high
    assert drawn.confidence == 1


def test_withheld_records_do_not_count(make_results):
    results = make_results(CE, CHEAP | {"withheld": 20})
    assert {one.line.cell.defense for one in advise(results, 5.0).candidates} == {"ce", "relaxloss"}


def test_without_ce_there_is_none_and_the_words_say_why(make_results):
    advice = advise(make_results(CHEAP, DEAR), 5.0)
    assert (advice.chosen, advice.candidates) == (None, ())
    assert list(in_words(advice)) == [
        "toy, mlp, adaptive attacker: no finished training without defense to compare with, so no defense is "
        "recommended"
    ]


def test_in_words(make_results):
    lines = list(in_words(advise(make_results(CE, CHEAP, DEAR, runs=2), 5.0)))
    assert lines[0].startswith(
        "toy, mlp, adaptive attacker: of what costs at most 5 points of accuracy, relaxloss (AUC 80"
    )
    assert any("ce (AUC 90" in line and "dominated by relaxloss" in line for line in lines)


def test_the_budget_as_it_is_written():
    assert points("accuracy=1.0") == 1
    for text in ("1.0", "accuracy", "accuracy=-1", "accuracy=much", "auc=1", "accuracy=nan"):
        with pytest.raises(UserError, match=r"points of test accuracy that may be lost, as in accuracy=1\.0$"):
            points(text)
