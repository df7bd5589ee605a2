"""What is best is one answer, whoever gives it: table, sentences, plots and recommendation."""

import pytest

from miabench.reports.numbers.best import best_setting, largest_loss, strongest
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.recommendation import in_words, recommend
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots.sites import one_per_defense
from miabench.reports.words.sentences import sentences

# Of 200 records .475 is exactly 5 points below .525, and in floats .525 - .05 is above .475.
CE = {"accuracy": 0.525, "auc": {"entropy": 0.9}}
PRIVATE = {"defense": "crl", "params": {"a": 1}, "accuracy": 0.475, "auc": {"entropy": 0.6}}
ACCURATE = {"defense": "crl", "params": {"a": 2}, "accuracy": 0.495, "auc": {"entropy": 0.8}}


def starred(results, points):
    """Settings whose value the table marks."""
    summary = summarize(results, max_accuracy_loss=points)
    best = judge(results, summary).best
    return [line.cell.label for line in summary.lines if (line.key, "entropy") in best]


def said(results, points):
    """The setting that the sentence is about, and whether it says that none keeps the accuracy."""
    summary = summarize(results, max_accuracy_loss=points)
    sentence = list(sentences(summary, judge(results, summary)))[1]
    return sentence.partition(" (chosen")[0].removeprefix("against "), "none within" in sentence


def drawn(results, points):
    """The setting that stands for the defense in plots."""
    summary = summarize(results, max_accuracy_loss=points)
    (line,) = one_per_defense(summary, [line for line in summary.lines if line.cell.defense == "crl"])
    return line.cell.label


def recommended(results, points):
    summary = summarize(results)
    (advice,) = recommend(results, summary, judge(results, summary), points)
    return advice.chosen.line.cell.label


@pytest.mark.parametrize(("points", "best"), [(4.9, "crl a=2"), (5.0, "crl a=1"), (3.0, "crl a=2"), (100.0, "crl a=1")])
def test_exactly_so_many_points_are_within_for_everyone(make_results, points, best):
    results = make_results(CE, PRIVATE, ACCURATE, records=200, runs=3)
    assert starred(results, points) == [best]
    assert said(results, points) == (best, False)
    assert drawn(results, points) == best
    assert recommended(results, points) == best


def test_where_none_keeps_the_accuracy_the_most_accurate_stands_for_its_defense(make_results):
    results = make_results(CE, PRIVATE, ACCURATE, records=200, runs=3)
    assert starred(results, 2.9) == []
    assert said(results, 2.9) == ("crl a=2", True)
    assert drawn(results, 2.9) == "crl a=2"
    assert recommended(results, 2.9) == "ce"  # the baseline itself is within any budget


@pytest.mark.parametrize(
    "baseline", [[], [CE | {"accuracy": None, "auc": {"entropy": None}}]], ids=["none", "unfinished"]
)
def test_without_a_finished_baseline_nothing_is_best_and_everyone_says_so(make_results, baseline):
    results = make_results(*baseline, PRIVATE, ACCURATE, records=200, runs=3)
    summary = summarize(results)
    assert starred(results, 100.0) == []
    assert "toy, mlp: no finished training without defense, so nobody knows" in " ".join(summary.notes)
    judged = judge(results, summary)
    assert list(sentences(summary, judged)) == ["toy, mlp: there is no finished cell without defense to compare with."]
    (advice,) = recommend(results, summary, judged, 100.0)
    assert advice.chosen is None
    assert "no finished training without defense" in in_words(advice)
    assert drawn(results, 100.0) == "crl a=2"  # a plot shows some setting: the most accurate


def test_a_setting_that_was_not_attacked_or_collapsed_stands_for_nothing_while_another_can(make_results):
    waiting = PRIVATE | {"params": {"a": 3}, "accuracy": 0.5, "auc": {"entropy": None}}
    collapsed = PRIVATE | {"params": {"a": 4}, "accuracy": (0.25, 0.8, 0.8), "auc": {"entropy": 0.5}}  # in one run
    results = make_results(CE, waiting, collapsed, ACCURATE, records=200, runs=3)
    assert (said(results, 2.9)[0], drawn(results, 2.9)) == ("crl a=2", "crl a=2")  # waiting alone is within 2.9 points
    assert starred(results, 100.0) == ["crl a=2"]
    assert drawn(make_results(waiting | {"dataset": "b"}, records=200, runs=1), 2.9) == "crl a=3"


def test_of_settings_that_keep_the_accuracy_only_attacks_finished_on_both_sides_count(make_results):
    one = PRIVATE | {"accuracy": 0.525, "auc": {"entropy": 0.6, "nn": 0.95}}
    other = ACCURATE | {"accuracy": 0.525, "auc": {"entropy": 0.8, "nn": 0.8}}
    results = make_results(CE | {"auc": {"entropy": 0.9, "nn": "no gradient"}}, one, other, records=200, runs=1)
    assert (said(results, 5.0)[0], drawn(results, 5.0)) == ("crl a=1", "crl a=1")


def test_the_strongest_attack_by_hand(make_results):
    (line,) = summarize(make_results({"auc": {"entropy": 0.6, "nn": 0.7, "loss": None}})).lines
    assert strongest(line, ["entropy", "nn", "loss"]) == ("nn", pytest.approx(0.7))
    assert strongest(line, ["loss"]) is None
    assert strongest(line, []) is None
    assert best_setting([], None, 5.0) is None


def test_the_tolerance_is_far_below_a_record():
    assert largest_loss(0.05) - 0.05 < 1e-6
    assert 0.525 - 0.475 > 0.05  # why a tolerance is needed
    assert largest_loss(0.05) >= 0.525 - 0.475
