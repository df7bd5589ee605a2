"""CSV and JSON hold the same rows as the table, in strict formats."""

import io
import json

import pandas as pd
import pytest

from miabench.evaluation.measure import ATTACK_METRICS
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.summary import summarize
from miabench.reports.tables.csv_json import to_csv, to_json
from miabench.results.results import COLUMNS


@pytest.fixture
def results(make_results):
    return make_results(
        {"auc": {"entropy": (0.9, None), "nn": 0.85}, "failure": 'said "no",\nthen died'},
        {"defense": "crl", "params": {"alpha_rce": 0.5, "mode": 'é,"x"'}, "auc": {"entropy": 0.7, "nn": "n,a"}},
        {"defense": "dmp", "auc": {"entropy": None, "nn": None}, "reason": "not for tables"},
    )


def as_json(results):
    return to_json(results, judge(results, summarize(results)), {}, [], [])


def strict(text):
    """Parse JSON as the standard has it: no NaN, no infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_json_is_one_strict_object_with_the_resolved_experiment(results):
    parsed = strict(as_json(results))
    assert list(parsed) == ["experiment", "rows", "worst_cases", "branches", "consistency", "loss_ranks"]
    assert parsed["experiment"] == results.index.experiment.model_dump(mode="json")
    whole = [row for row in parsed["rows"] if row["class"] is None]
    assert len(whole) == len(results.table) == 3 * 2 * (2 + 2 * len(ATTACK_METRICS))


def test_rows_of_a_class_follow_those_of_all_records(results):
    rows = strict(as_json(results))["rows"]
    of_classes = [row for row in rows if row["class"] is not None]
    assert rows[-len(of_classes) :] == of_classes
    assert {(row["attack"], row["metric"], row["class"]) for row in of_classes} == {
        (attack, metric, 0) for attack in ("entropy", "nn") for metric in ("auc", "balanced_accuracy")
    }  # the only class of the members
    assert all(row["n_members"] == 40 and row["n_nonmembers"] == 10 for row in of_classes)
    assert {row["key"] for row in of_classes} <= {row["key"] for row in rows if row["metric"] == "auc"}


def test_the_realised_false_positive_rate_stands_beside_the_one_asked_for(results):
    rows = strict(as_json(results))["rows"]
    known = {row["metric"]: row["realised_fpr"] for row in rows if row["realised_fpr"] is not None}
    assert known.keys() == {"tpr@10%"}
    assert 0 < known["tpr@10%"] <= 0.1


def test_json_rows_have_the_columns_in_order_and_nulls_with_a_reason(results):
    rows = strict(as_json(results))["rows"]
    assert all(list(row) == [*COLUMNS, "class"] for row in rows)
    assert {type(row["params"]) for row in rows} == {dict}
    crl = next(row for row in rows if row["defense"] == "crl" and row["metric"] == "test_accuracy")
    assert crl["params"] == {"alpha_rce": 0.5, "mode": 'é,"x"'}
    assert (crl["value"], crl["attack"], crl["attacker"], crl["reason"]) == (0.8, None, None, None)
    assert (crl["n_members"], crl["n_nonmembers"]) == (40, 40)
    assert type(crl["n_members"]) is int
    missing = [row for row in rows if row["value"] is None]
    assert {row["reason"] for row in missing} == {
        'said "no",\nthen died',
        "n,a",
        "not for tables",
        "needs 100 non-members, has 40",
        "needs 1,000 non-members, has 40",
        "needs 10,000 non-members, has 40",
        "needs 100 members, has 40",
        "needs 100 non-members of shadow models, has 40",
        "needs 1,000 non-members of shadow models, has 40",
    }
    assert all(row["low"] is None and row["high"] is None for row in missing)


def test_the_worst_case_of_each_level_says_which_attacks_it_is_without(make_results):
    access = {"gap": "label", "nn": "black-box", "entropy": "black-box"}
    results = make_results({"auc": {"gap": 0.6, "nn": 0.9, "entropy": "n/a here"}}, access=access, runs=3, records=200)
    worst = judge(results, summarize(results)).lines["toy", "mlp", "adaptive", "ce"].worst
    rows = strict(as_json(results))["worst_cases"]
    assert [(row["level"], row["metric"]) for row in rows] == [*worst]
    label, _, black, _ = rows
    assert (label["attack"], label["attacks"]) == ("gap", 1)
    assert label["missing"] == dict.fromkeys(("augmentation-agreement", "noise-agreement"), "not in the experiment")
    assert (black["attack"], black["attacks"], black["missing"]["entropy"]) == ("nn", 2, "n/a here")
    assert [black[name] for name in ("value", "low", "high")] == [*worst["black-box", "auc"].case[:3]]
    assert (black["dataset"], black["defense"], black["attacker"]) == ("toy", "ce", "adaptive")


def test_csv_reads_back_to_the_same_rows_as_json(results):
    frame = pd.read_csv(
        io.StringIO(to_csv(results)), keep_default_na=False, na_values={n: [""] for n in (*COLUMNS, "class")}
    )
    assert list(frame.columns) == [*COLUMNS, "class"]
    back = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for row, other in zip(back, strict(as_json(results))["rows"], strict=True):
        assert row | {"params": json.loads(row["params"])} == other


def test_csv_prints_counts_as_whole_numbers_and_values_unrounded(results):
    lines = to_csv(results).splitlines()
    assert lines[0] == ",".join([*COLUMNS, "class"])
    assert "\r" not in to_csv(results)
    accuracy = next(line for line in lines if "test_accuracy" in line)
    value = results.table.loc[results.table["metric"] == "test_accuracy", "low"].iloc[0]
    assert f",0.8,{float(value)!r}," in accuracy
    assert ",40,40," in accuracy


def test_a_table_without_any_value(make_results):
    results = make_results({"accuracy": None, "auc": {"entropy": None}}, runs=1)
    assert {row["value"] for row in strict(as_json(results))["rows"]} == {None}
    assert all(line.endswith(",not computed yet,,") for line in to_csv(results).splitlines()[1:])
