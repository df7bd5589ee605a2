"""The recommendation is the one that the numbers give by hand, and says how sure it is."""

from dataclasses import replace

import pytest

from miabench.errors import UserError
from miabench.metrics import Verdict, holm
from miabench.reports.numbers.evidence import judge, worst_change
from miabench.reports.numbers.influences import shared
from miabench.reports.numbers.levels import Column
from miabench.reports.numbers.recommendation import in_words, points, recommend
from miabench.reports.numbers.stored import Stored
from miabench.reports.numbers.summary import summarize

CE = {"accuracy": 0.8, "auc": {"entropy": 0.9, "nn": 0.85}}
CHEAP = {"defense": "relaxloss", "accuracy": 0.8, "auc": {"entropy": 0.8, "nn": 0.7}}
DEAR = {"defense": "crl", "accuracy": 0.6, "auc": {"entropy": 0.55, "nn": 0.6}}
WORSE = {"defense": "dmp", "accuracy": 0.5, "auc": {"entropy": 0.7, "nn": 0.95}}


def advise(results, budget, metric="auc"):
    summary = summarize(results, metric)
    return next(recommend(results, summary, judge(results, summary), budget))


def test_the_worst_case_within_the_budget(make_results):
    results = make_results(CE, CHEAP, DEAR, WORSE, runs=2)
    small, large = advise(results, 5.0), advise(results, 25.0)
    assert small.chosen.line.cell.defense == "relaxloss"
    assert (small.chosen.worst.attack, small.chosen.worst.case.value) == ("entropy", pytest.approx(0.8, abs=0.02))
    assert small.chosen.cost == pytest.approx(0)
    assert large.chosen.line.cell.defense == "crl"
    assert (large.chosen.worst.attack, large.chosen.worst.case.value) == ("nn", pytest.approx(0.6, abs=0.02))
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


@pytest.mark.parametrize(("cells", "said"), [((CE,), True), ((CE, WORSE), False)])
def test_alone_it_is_not_the_lowest_of_anything(make_results, cells, said):
    words = in_words(advise(make_results(*cells), 1.0))
    assert words.endswith("points of accuracy); there is no defense to compare it with") == said


def test_what_it_can_be_told_apart_from(make_results):
    advice = advise(make_results(CE, CHEAP, DEAR, WORSE, runs=3, records=200), 25.0)
    against = {one.line.cell.defense: one.against and one.against.word for one in advice.candidates}
    assert against == {"crl": None, "relaxloss": "lower", "ce": "lower", "dmp": None}  # dmp is beyond the budget
    assert in_words(advice).endswith("has the lowest worst case: lower than that of relaxloss, ce")


def test_what_it_cannot_be_told_apart_from(make_results):
    """Two defenses that are alike on average, each better in some runs."""
    one = CHEAP | {"auc": {"entropy": (0.85, 0.75, 0.8), "nn": 0.5}}
    other = CHEAP | {"defense": "crl", "auc": {"entropy": (0.75, 0.825, 0.8), "nn": 0.5}}
    advice = advise(make_results(CE, one, other, runs=3), 5.0)
    assert advice.chosen.line.cell.defense == "crl"
    second = advice.candidates[1]
    assert (second.line.cell.defense, second.against.word) == ("relaxloss", "not distinguishable")
    assert "not distinguishable from relaxloss" in in_words(advice)


@pytest.mark.parametrize("runs", [1, 2])
def test_below_three_runs_nothing_is_told_apart(make_results, runs):
    advice = advise(make_results(CE, CHEAP, DEAR, runs=runs, records=200), 25.0)
    assert {one.against.word for one in advice.candidates[1:]} == {"not distinguishable"}
    assert "lower than that of" not in in_words(advice)


def test_holm_is_over_the_comparisons_within_the_budget(make_results):
    results = make_results(CE, CHEAP, DEAR, WORSE, runs=3, records=200)
    summary = summarize(results)
    lines = {line.cell.defense: Stored(results, summary, line) for line in summary.lines}
    first = lines["crl"]
    apart = [
        worst_change(first, lines[name], Column("all", "auc"), shared([first.correct, lines[name].correct])).found.p
        for name in ("relaxloss", "ce", "dmp")
    ]
    for budget, family in ((25.0, 2), (35.0, 3)):
        found = [one.against.p for one in advise(results, budget).candidates if one.against]
        assert sorted(found) == pytest.approx(sorted(holm(apart[:family])), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("needed", "said"),
    [((4, 9), "about 9 runs would tell"), ((4, None), "more records, not more runs")],
)
def test_how_many_runs_would_tell(make_results, needed, said):
    """The most of all comparisons; where one of them needs records, no number of runs is promised."""
    advice = advise(make_results(CE, CHEAP, DEAR, runs=3, records=200), 25.0)
    chosen, *others = advice.candidates
    unsure = [
        replace(one, against=Verdict("not distinguishable", 1.0, runs))
        for one, runs in zip(others, needed, strict=True)
    ]
    words = in_words(replace(advice, candidates=(chosen, *unsure)))
    assert words.endswith(f"lowest worst case: not distinguishable from relaxloss, ce ({said})")


def test_the_worst_case_is_that_of_the_widest_access_in_the_metric_asked_for(make_results):
    access = {"entropy": "label", "nn": "white-box"}
    cells = [CE, {"defense": "crl", "auc": {"entropy": 0.6, "nn": 0.8}}]
    results = make_results(*cells, runs=3, records=200, access=access)
    assert advise(results, 5.0).chosen.worst.attack == "nn"
    advice = advise(results, 5.0, metric="tpr@1%")
    assert advice.metric == "tpr@1%"
    known = judge(results, summarize(results, "tpr@1%")).lines[advice.chosen.line.key].worst
    assert advice.chosen.worst == known[Column("white-box", "tpr@1%")] != known[Column("white-box", "auc")]
    assert "crl (TPR at 1% FPR " in in_words(advice)


def test_withheld_records_do_not_count(make_results):
    results = make_results(CE, CHEAP | {"withheld": 20})
    assert {one.line.cell.defense for one in advise(results, 5.0).candidates} == {"ce", "relaxloss"}


def test_without_ce_there_is_none_and_the_words_say_why(make_results):
    advice = advise(make_results(CHEAP, DEAR), 5.0)
    assert (advice.chosen, advice.candidates) == (None, ())
    assert str(advice) == (
        "toy, mlp, adaptive attacker: no finished training without defense to compare with, so no defense is "
        "recommended"
    )


def test_where_nothing_was_learnt_without_defense_the_words_say_so(make_results):
    advice = advise(make_results(CE | {"accuracy": 0.25}, DEAR), 5.0)
    assert (advice.chosen, advice.candidates) == (None, ())
    assert str(advice) == (
        "toy, mlp, adaptive attacker: without defense nothing was learnt, so no defense is recommended"
    )


def test_an_overfitted_baseline_is_compared_with(make_results):
    advice = advise(make_results(CE | {"accuracy": 0.25}, DEAR, member_classes=4), 5.0)
    assert {one.line.cell.defense for one in advice.candidates} == {"ce", "crl"}


def test_in_words(make_results):
    advice = advise(make_results(CE, CHEAP, DEAR, runs=3), 5.0)
    first, *others = str(advice).splitlines()
    assert first == in_words(advice)
    low, high = (f"{100 * end:.2f}" for end in advice.chosen.worst.case[1:3])
    assert first.startswith(
        "toy, mlp, adaptive attacker: of what costs at most 5 points of accuracy, relaxloss (AUC "
        f"{100 * advice.chosen.worst.case.value:.2f} [{low}, {high}] by entropy, worst of 2; +0.00 points of accuracy)"
    )
    assert [line.split(" (AUC ")[0] for line in others] == ["  crl", "  ce"]
    assert "-20.00 points of accuracy)" in others[0]
    assert others[1].endswith("; dominated by relaxloss")


def test_the_budget_as_it_is_written():
    assert points("accuracy=1.0") == 1
    for text in ("1.0", "accuracy", "accuracy=-1", "accuracy=much", "auc=1", "accuracy=nan"):
        with pytest.raises(UserError, match=r"points of test accuracy that may be lost, as in accuracy=1\.0$"):
            points(text)
