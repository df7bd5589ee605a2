"""The summary in plain sentences, against hand-worked numbers."""

import pytest
from miabench.reports.numbers.difference import compare

from miabench.reports.numbers.summary import summarize
from miabench.reports.words.sentences import overview, sentences


@pytest.fixture
def say():
    def text(results, differences=False, **given):
        summary = summarize(results, **given)
        return list(sentences(summary, compare(results, summary) if differences else {}))

    return text


def test_the_strongest_attack_and_the_accuracy(make_results, say):
    results = make_results(
        {"accuracy": 0.8, "auc": {"entropy": 0.9, "nn": 0.85}},
        {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.6, "nn": 0.7}},
        {"defense": "advreg", "accuracy": 0.85, "auc": {"entropy": 0.95, "nn": 0.7}},
        {"defense": "dmp", "accuracy": 0.8, "auc": {"entropy": 0.9, "nn": 0.7}},
    )
    assert say(results, max_accuracy_loss=20) == [
        "toy, mlp: without defense the strongest attack, entropy, reaches 90.00% AUC at 80.00% test accuracy.",
        "crl lowers the strongest attack from 90.00% to 70.00% AUC (nn) and costs 10.00 points of test accuracy.",
        "advreg raises the strongest attack from 90.00% to 95.00% AUC and gains 5.00 points of test accuracy.",
        "dmp leaves the strongest attack at 90.00% AUC and gains 0.00 points of test accuracy.",
    ]


def test_intervals_are_those_of_the_differences(make_results, say):
    results = make_results({"auc": {"entropy": 0.9}}, {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.6}})
    summary = summarize(results)
    (change,) = compare(results, summary).values()
    low, high = (f"{100 * end:+.2f}" for end in (change.attacks["entropy"].low, change.attacks["entropy"].high))
    sentence = say(results, differences=True)[1]
    assert f"from 90.00% to 60.00% AUC (95% interval of the change {low} to {high}) and costs 10.00 points" in sentence
    assert sentence.endswith(f"{100 * change.accuracy.low:+.2f} to {100 * change.accuracy.high:+.2f}).")


def test_one_setting_speaks_for_a_defense(make_results, say):
    crl = [
        {"defense": "crl", "params": {"alpha_rce": i}, "accuracy": accuracy, "auc": {"entropy": auc}}
        for i, (accuracy, auc) in enumerate([(0.8, 0.8), (0.775, 0.7), (0.5, 0.6)])
    ]
    results = make_results({"accuracy": 0.8, "auc": {"entropy": 0.9}}, *crl)
    assert say(results)[1].startswith(
        "crl alpha_rce=1 (chosen on these results, of 3 settings) lowers the strongest attack from 90.00% to 70.00%"
    )
    assert say(make_results({"accuracy": 0.8, "dataset": "other"}, {**crl[2], "dataset": "other"}))[1].startswith(
        "crl alpha_rce=2 lowers"
    )


def test_no_setting_within_the_accuracy_is_said(make_results, say):
    cells = [
        {"defense": "crl", "params": {"alpha_rce": i}, "accuracy": 0.5, "auc": {"entropy": auc}}
        for i, auc in enumerate([0.8, 0.7])
    ]
    sentence = say(make_results({"accuracy": 0.8}, *cells))[1]
    assert sentence.startswith(
        "crl alpha_rce=1 (chosen on these results, of 2 settings, none within 5 points of accuracy)"
    )


def test_only_attacks_finished_on_both_sides_count(make_results, say):
    results = make_results(
        {"auc": {"entropy": 0.8, "nn": 0.9}},
        {"defense": "crl", "auc": {"entropy": 0.7, "nn": "no gradient"}},
    )
    assert "strongest attack from 80.00% to 70.00% AUC" in say(results)[1]


def test_collapsed_and_unfinished_defenses(make_results, say):
    results = make_results(
        {},
        {"defense": "crl", "accuracy": 0.25, "auc": {"entropy": 0.5}},
        {"defense": "dmp", "accuracy": None, "auc": {"entropy": None}},
    )
    assert say(results)[1:] == [
        "crl collapsed to chance accuracy, so its attacks say nothing.",
        "dmp has no finished result yet.",
    ]


def test_a_defense_that_cannot_be_used(make_results, say):
    results = make_results({}, {"defense": "dmp-gan", "reason": "its GAN makes images"})
    assert say(results)[-1] == "dmp-gan cannot be used here: its GAN makes images."


def test_without_an_undefended_cell(make_results, say):
    assert say(make_results({"defense": "crl"})) == [
        "toy, mlp: there is no finished cell without defense to compare with."
    ]


def test_attackers_are_told_apart(make_results, say):
    found = say(make_results({}, attackers=("adaptive", "non-adaptive")))
    assert [sentence.split(":")[0] for sentence in found] == [
        "toy, mlp, adaptive attacker",
        "toy, mlp, non-adaptive attacker",
    ]


def test_the_overview(make_results):
    results = make_results({}, {"defense": "crl"}, runs=3)
    assert overview(summarize(results)) == (
        "2 cells (dataset, model and defense), 3 trainings each, attacked by one attack; attacks are measured by AUC. "
        "50% would be guessing."
    )
    assert overview(summarize(results, metric="tpr@1%")).endswith("by TPR at 1% FPR. 1% would be guessing.")
