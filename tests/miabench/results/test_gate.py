"""The gate passes what is below the limit with confidence, and nothing that was not measured."""

import pytest

import miabench
from miabench.results.gate import Limit, gate


def verdicts(results, *limits, attacks=("all",)):
    return {
        finding.what.split()[-2]: finding.passes for finding in gate(results, [Limit.parse(t) for t in limits], attacks)
    }


def test_the_upper_end_of_the_interval_counts(make_results):
    results = make_results({"auc": {"entropy": 0.6, "nn": 0.5}}, runs=1)
    high = results.table[(results.table.attack == "nn") & (results.table.metric == "auc")].high.item()
    assert verdicts(results, f"auc={high + 0.001}") == {"entropy": False, "nn": True}
    assert verdicts(results, f"auc={high - 0.001}") == {"entropy": False, "nn": False}
    assert verdicts(results, "auc=0.99", attacks=["nn"]) == {"nn": True}


def test_what_is_not_measured_does_not_pass(make_results):
    results = make_results({"auc": {"entropy": 0.5, "nn": None}}, runs=1)
    assert verdicts(results, "auc=1") == {"entropy": True, "nn": False}
    (finding,) = gate(results, [Limit("auc", 1.0)], ["nn"])
    assert str(finding).startswith("FAIL  toy mlp ce run 0 nn (adaptive): auc not computed yet (limit 1)")


def test_an_attack_that_cannot_be_is_left_out(make_results):
    results = make_results({"auc": {"entropy": 0.5, "grad-x": "inputs are words"}})
    assert verdicts(results, "auc=1") == {"entropy": True}


@pytest.mark.parametrize("name", ["balanced-accuracy-global", "balanced_accuracy_global"])
def test_a_metric_is_found_with_hyphens_and_underscores(name):
    assert Limit.parse(f"{name}=0.6") == Limit("balanced_accuracy_global", 0.6)


def test_every_named_attack_counts(make_results):
    results = make_results({"auc": {"entropy": 0.9, "nn": 0.5, "loss": 0.9}}, runs=1)
    assert verdicts(results, "auc=0.8", attacks=["nn", "loss"]) == {"nn": True, "loss": False}


def test_nothing_measured_is_no_pass(make_results):
    results = make_results({"auc": {"grad-x": "inputs are words"}})
    with pytest.raises(miabench.UserError, match="every attack of experiment 'fake' is n/a: nothing was measured"):
        list(gate(results, [Limit("auc", 1.0)]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("acu=0.6", "no metric 'acu'; did you mean 'auc'"), ("auc=60", "a fraction from 0 to 1"), ("auc", "a fraction")],
)
def test_limits_that_cannot_be(text, expected):
    with pytest.raises(miabench.UserError, match=expected):
        Limit.parse(text)


def test_an_unknown_attack(make_results):
    with pytest.raises(miabench.UserError, match="no such attack; did you mean 'entropy'"):
        list(gate(make_results({"auc": {"entropy": 0.5}}), [Limit("auc", 1.0)], ["entrop"]))
