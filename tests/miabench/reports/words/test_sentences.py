"""The summary in plain sentences, against hand-worked numbers; verbs follow what can be shown."""

from dataclasses import replace

import pytest

from miabench.metrics import Verdict
from miabench.reports.numbers.evidence import Judgement, judge
from miabench.reports.numbers.levels import Column
from miabench.reports.numbers.stored import ACCURACY
from miabench.reports.numbers.summary import summarize
from miabench.reports.words.sentences import overview, sentences
from miabench.reports.write import Report

WORST = Column("all", "auc")
CE = {"accuracy": 0.8, "auc": {"entropy": 0.9}}


@pytest.fixture
def say():
    def text(results, **given):
        summary = summarize(results, **given)
        return list(sentences(summary, judge(results, summary)))

    return text


def test_the_strongest_attack_and_the_accuracy(make_results, say):
    results = make_results(
        CE,
        {"defense": "crl", "accuracy": 0.6, "auc": {"entropy": 0.7}},
        {"defense": "advreg", "accuracy": 0.995, "auc": {"entropy": 0.98}},
        {"defense": "dmp", "accuracy": 0.8, "auc": {"entropy": 0.9}},
        runs=3,
        records=200,
    )
    first, crl, advreg, dmp = say(results, max_accuracy_loss=25)
    assert first == (
        "toy, mlp: without defense the strongest attack, entropy, reaches 90.00% AUC at 80.00% test accuracy."
    )
    assert crl.startswith("crl lowers the strongest attack to 70.00% AUC (entropy), a change of -20.00 points (95% ")
    assert "; it costs 20.00 points of test accuracy (95% interval -" in crl
    assert advreg.startswith("advreg raises the strongest attack to 98.00% AUC (entropy), a change of +8.00 points (")
    assert "; it gains 19.50 points of test accuracy (95% interval +" in advreg
    assert dmp == (
        "against dmp the strongest attack reaches 90.00% AUC (entropy), a change of +0.00 points (95% interval +0.00 "
        "to +0.00): not distinguishable from no defense (more records would be needed, not more runs); its change of "
        "test accuracy, +0.00 points (95% interval +0.00 to +0.00), is not distinguishable."
    )


def test_intervals_are_those_of_the_differences(make_results, say):
    results = make_results(CE, {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.6}}, runs=3)
    made = Report(results)
    changes = made.judged.lines[made.summary.lines[1].key].changes
    sentence = say(results)[1]
    for quantity in (WORST, ACCURACY):
        low, high = (f"{100 * end:+.2f}" for end in (changes[quantity].low, changes[quantity].high))
        assert f"(95% interval {low} to {high})" in sentence
    assert changes[WORST].low < changes[WORST].value < changes[WORST].high


def test_two_runs_show_nothing(make_results, say):
    sentence = say(make_results(CE, {"defense": "crl", "auc": {"entropy": 0.6}}, runs=2, records=200))[1]
    assert sentence.startswith("against crl the strongest attack reaches 60.00% AUC (entropy), a change of -30.00 ")
    assert "): not distinguishable from no defense (about 3 runs would be needed); its change" in sentence


@pytest.mark.parametrize(
    ("needed", "said"),
    [(7, "(about 8 models would be needed)"), (None, "(more records would be needed, not more models)")],
)
def test_under_protocol_pool_it_takes_models(make_results, needed, said):
    made = Report(make_results(CE, {"defense": "crl", "auc": {"entropy": 0.6}}, runs=6, pool=True))
    key = made.summary.lines[1].key
    evidence = made.judged.lines[key]
    unsure = replace(evidence.changes[WORST], verdict=Verdict("not distinguishable", 0.2, needed))
    judged = Judgement({**made.judged.lines, key: replace(evidence, changes={WORST: unsure})}, frozenset())
    assert said in list(sentences(made.summary, judged))[1]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict("not distinguishable", 0.2, 7), "not distinguishable from no defense (about 7 runs would be needed)"),
        (Verdict("not distinguishable", 0.2, None), "(more records would be needed, not more runs)"),
        (Verdict("lower", 0.01, None), "crl lowers the strongest attack to 60.00%"),
        (Verdict("higher", 0.01, None), "crl raises the strongest attack to 60.00%"),
    ],
)
def test_the_verb_is_the_verdict_s(make_results, verdict, said):
    results = make_results(CE, {"defense": "crl", "auc": {"entropy": 0.6}}, runs=3)
    made = Report(results)
    key = made.summary.lines[1].key
    evidence = made.judged.lines[key]
    changes = {**evidence.changes, WORST: replace(evidence.changes[WORST], verdict=verdict)}
    judged = Judgement({**made.judged.lines, key: replace(evidence, changes=changes)}, frozenset())
    assert said in list(sentences(made.summary, judged))[1]


def test_what_shares_no_run_with_the_baseline_is_not_compared(make_results, say):
    results = make_results(
        CE | {"accuracy": (0.8, None), "auc": {"entropy": (0.9, None)}},
        {"defense": "crl", "accuracy": (None, 0.7), "auc": {"entropy": (None, 0.6)}},
    )
    assert say(results, max_accuracy_loss=20)[1] == (
        "against crl the strongest attack reaches 60.00% AUC (entropy), on other records or runs than without "
        "defense; test accuracy is 70.00%, without defense 80.00%."
    )


def test_one_setting_speaks_for_a_defense(make_results, say):
    crl = [
        {"defense": "crl", "params": {"alpha_rce": i}, "accuracy": accuracy, "auc": {"entropy": auc}}
        for i, (accuracy, auc) in enumerate([(0.8, 0.8), (0.775, 0.7), (0.5, 0.6)])
    ]
    results = make_results({"accuracy": 0.8, "auc": {"entropy": 0.9}}, *crl, runs=3)
    assert say(results)[1].startswith(
        "crl alpha_rce=1 (chosen on these results, of 3 settings) lowers the strongest attack to 70.00% AUC"
    )
    alone = make_results({"accuracy": 0.8, "dataset": "other"}, {**crl[2], "dataset": "other"}, runs=3)
    assert say(alone)[1].startswith("crl alpha_rce=2 lowers")


def test_no_setting_within_the_accuracy_is_said(make_results, say):
    cells = [
        {"defense": "crl", "params": {"alpha_rce": i}, "accuracy": 0.5, "auc": {"entropy": auc}}
        for i, auc in enumerate([0.8, 0.7])
    ]
    sentence = say(make_results({"accuracy": 0.8}, *cells, runs=3))[1]
    assert sentence.startswith(
        "crl alpha_rce=1 (chosen on these results, of 2 settings, none within 5 points of accuracy)"
    )


def test_the_worst_case_of_each_side_is_of_the_attacks_that_it_has(make_results, say):
    results = make_results(
        {"auc": {"entropy": 0.8, "nn": 0.95}},
        {"defense": "crl", "auc": {"entropy": 0.6, "nn": "no gradient"}},
        runs=3,
        records=200,
    )
    first, crl = say(results)
    assert "the strongest attack, nn, reaches 95.00% AUC" in first
    assert crl.startswith(
        "crl lowers the strongest attack to 60.00% AUC (entropy, worst of 1 of 2), a change of -35.00"
    )


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


def test_the_overview_counts_the_models_of_a_pool(make_results):
    assert "1 cell (dataset, model and defense), 6 trainings each" in overview(
        summarize(make_results({}, runs=6, pool=True))
    )


def test_the_overview(make_results):
    results = make_results({}, {"defense": "crl"}, runs=3)
    assert overview(summarize(results)) == (
        "Experiment fake: 2 cells (dataset, model and defense), 3 trainings each, attacked by one attack; attacks are "
        "measured by AUC. 50% would be guessing."
    )
    assert overview(summarize(results, metric="tpr@1%")).endswith("by TPR at 1% FPR. 1% would be guessing.")
