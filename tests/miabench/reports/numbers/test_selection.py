"""Which lines and attacks are shown, in which order."""

import pytest

from miabench.errors import UserError
from miabench.reports.numbers.best import baselines
from miabench.reports.numbers.selection import Selection, select
from miabench.reports.numbers.summary import summarize


@pytest.fixture
def summary(make_results):
    return summarize(
        make_results(
            {"accuracy": 0.8, "auc": {"entropy": 0.9, "nn": 0.85}},
            {"defense": "crl", "params": {"alpha_rce": 1}, "accuracy": 0.7, "auc": {"entropy": 0.6, "nn": 0.7}},
            {"defense": "crl", "params": {"alpha_rce": 2}, "accuracy": 0.75, "auc": {"entropy": 0.5, "nn": 0.8}},
            {"defense": "dmp", "accuracy": None, "auc": {"entropy": None, "nn": None}},
            {"model": "cnn", "accuracy": 0.9, "auc": {"entropy": 0.55, "nn": 0.55}},
        )
    )


def labels(summary, **given):
    return [line.cell.label for line in select(summary, Selection(**given)).lines]


def test_everything_without_a_choice(summary):
    assert select(summary, Selection()) == summary


def test_rows_by_defense_or_label_with_ce(summary):
    assert labels(summary, rows=("crl",)) == ["ce", "crl alpha_rce=1", "crl alpha_rce=2", "ce"]
    assert labels(summary, rows=("*=2", "dmp")) == ["ce", "crl alpha_rce=2", "dmp", "ce"]
    shown = select(summary, Selection(rows=("*=2",)))
    assert shown.notes[-1] == "3 of 5 lines are shown; marks are among all"
    assert baselines(shown.lines)[shown.lines[1].site_key] == shown.lines[0]


def test_columns_are_attacks(summary):
    assert {tuple(line.attacks) for line in select(summary, Selection(columns=("n*",))).lines} == {("nn",)}


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("nn", ["crl alpha_rce=1", "crl alpha_rce=2", "ce", "dmp", "ce"]),
        ("entropy", ["crl alpha_rce=2", "crl alpha_rce=1", "ce", "dmp", "ce"]),
        ("worst", ["crl alpha_rce=1", "crl alpha_rce=2", "ce", "dmp", "ce"]),
        ("test-accuracy", ["ce", "crl alpha_rce=2", "crl alpha_rce=1", "dmp", "ce"]),
    ],
)
def test_sorted_within_each_model_and_missing_last(summary, key, order):
    assert labels(summary, sort=key) == order


def test_all_problems_are_named_at_once(summary):
    with pytest.raises(UserError) as caught:
        select(summary, Selection(rows=("clr",), columns=("entopy",), sort="n"))
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "--rows 'clr' is no defense of the experiment",
        "--columns 'entopy' is no attack of the experiment",
        "--sort 'n' is no column",
    ]
    assert "did you mean 'crl'?" in caught.value.problems[0]
    assert caught.value.problems[2].endswith("Known: entropy, nn, test-accuracy, train-accuracy, worst")
