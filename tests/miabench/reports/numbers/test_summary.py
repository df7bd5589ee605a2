"""Means, spreads, states and marks, against numbers worked by hand."""

import pytest

from miabench.errors import UserError
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.summary import summarize


def lines(results, **given):
    return {(line.cell.model, line.cell.label, line.attacker): line for line in summarize(results, **given).lines}


def marks(results, attack="entropy", **given):
    """Labels of the cells whose value is marked."""
    summary = summarize(results, **given)
    best = judge(results, summary).best
    return [line.cell.label for line in summary.lines if (line.key, attack) in best]


def test_mean_and_std_over_runs_by_hand(make_results):
    cell = {"accuracy": (0.7, 0.8, 0.9), "auc": {"entropy": (0.6, 0.7, 0.65)}}
    (line,) = summarize(make_results(cell, runs=3)).lines
    assert (line.test.mean, line.test.std) == (pytest.approx(0.8), pytest.approx(0.1))  # squares 0.01 + 0 + 0.01 over 2
    entropy = line.attacks["entropy"]
    assert (entropy.mean, entropy.std) == (pytest.approx(0.65), pytest.approx(0.05))
    assert (line.train.mean, line.train.std) == (1.0, 0.0)
    assert (entropy.runs, entropy.state, entropy.reason) == (3, "done", None)


def test_one_run_has_no_spread(make_results):
    (line,) = summarize(make_results({}, runs=1)).lines
    assert (line.test.mean, line.test.std, line.test.runs) == (pytest.approx(0.8), None, 1)


def test_unfinished_runs_are_left_out_of_the_mean_and_explained(make_results):
    cell = {"accuracy": (0.7, None, 0.9), "auc": {"entropy": (0.6, None, None)}, "failure": "epoch 1\nloss is nan"}
    (line,) = summarize(make_results(cell, runs=3)).lines
    assert (line.test.mean, line.test.runs, line.test.state) == (pytest.approx(0.8), 2, "done")
    assert line.test.reason == "loss is nan"
    assert (line.attacks["entropy"].mean, line.attacks["entropy"].std) == (pytest.approx(0.6), None)


@pytest.mark.parametrize(
    ("cell", "state", "reason"),
    [
        ({"accuracy": None, "auc": {"entropy": None}}, "missing", "not computed yet"),
        ({"accuracy": None, "auc": {"entropy": None}, "failure": "log\nout of memory\n"}, "failed", "out of memory"),
        ({"reason": "not for text"}, "n/a", "not for text"),
    ],
)
def test_why_a_cell_has_no_value(make_results, cell, state, reason):
    (line,) = summarize(make_results(cell)).lines
    for value in (line.train, line.test, line.attacks["entropy"]):
        assert (value.mean, value.std, value.runs) == (None, None, 0)
        assert (value.state, value.reason) == (state, reason)


def test_an_attack_that_does_not_exist_beside_one_that_does(make_results):
    (line,) = summarize(make_results({"auc": {"entropy": 0.6, "grad-x": "no gradient"}})).lines
    assert line.attacks["entropy"].mean == pytest.approx(0.6)
    assert (line.attacks["grad-x"].state, line.attacks["grad-x"].reason) == ("n/a", "no gradient")


def test_another_metric(make_results):
    (line,) = summarize(make_results({"auc": {"entropy": 0.6}}), metric="tpr@0.1%").lines
    assert line.attacks["entropy"].state == "n/a"
    assert line.attacks["entropy"].reason == "needs 1,000 non-members, has 40"
    with pytest.raises(
        UserError, match=r"metric 'aux' is not measured; did you mean .auc.\? Known: advantage, auc, bal"
    ):
        summarize(make_results({"defense": "crl"}), metric="aux")


def test_a_metric_is_found_with_hyphens_and_underscores(make_results):
    results = make_results({})
    assert summarize(results, "balanced-accuracy") == summarize(results, "balanced_accuracy")


def test_the_lowest_defended_value_within_five_points_is_marked(make_results):
    results = make_results(
        {"accuracy": 0.525, "auc": {"entropy": 0.975}},
        {"params": {"epochs": 3}, "accuracy": 0.525, "auc": {"entropy": 0.4}},  # lower than all, but no defense
        {"defense": "crl", "accuracy": 0.475, "auc": {"entropy": 0.6}},  # 5 points exactly, though 0.525 - 0.05 > 0.475
        {"defense": "relaxloss", "accuracy": 0.45, "auc": {"entropy": 0.5}},  # 7.5 points
        {"defense": "dmp", "accuracy": 0.9, "auc": {"entropy": 0.7}},
        runs=3,
    )
    assert marks(results) == ["crl"]
    assert marks(results, max_accuracy_loss=8) == ["relaxloss"]
    assert marks(results, max_accuracy_loss=4.9) == ["dmp"]


def test_a_value_above_the_baseline_s_is_never_marked(make_results):
    above = {"defense": "crl", "auc": {"entropy": 0.9}}
    assert marks(make_results({"auc": {"entropy": 0.6}}, above, runs=3)) == []


@pytest.mark.parametrize(("runs", "marked"), [(1, []), (2, []), (3, ["crl"])])
def test_no_value_is_marked_below_three_runs(make_results, runs, marked):
    results = make_results({}, {"defense": "crl", "auc": {"entropy": 0.5}}, runs=runs)
    assert marks(results) == marked


def test_a_value_that_cannot_be_told_from_the_baseline_s_is_not_marked(make_results):
    near = {"defense": "crl", "auc": {"entropy": (0.95, 0.8, 0.9)}}  # lower on average
    assert marks(make_results({}, near, {"defense": "dmp", "auc": {"entropy": 0.7}}, runs=3)) == ["dmp"]
    assert marks(make_results({"dataset": "other"}, near | {"dataset": "other"}, runs=3)) == []


def test_ce_with_parameters_is_neither_marked_nor_what_others_are_compared_with(make_results):
    results = make_results(
        {"accuracy": 0.6},
        {"params": {"epochs": 3}, "accuracy": 0.9, "auc": {"entropy": 0.5}},
        {"defense": "crl", "accuracy": 0.6, "auc": {"entropy": 0.7}},
        runs=3,
    )
    assert marks(results) == ["crl"]
    assert [line.is_baseline for line in summarize(results).lines] == [True, False, False]
    assert "toy, mlp: ce that others are compared with: ce" in summarize(results).notes


def test_the_first_ce_stands_for_one_with_the_common_schedule(make_results):
    tuned = [{"params": {"schedule.lr": lr}, "accuracy": 0.6} for lr in (0.2, 0.1)]
    results = make_results({"defense": "crl", "accuracy": 0.6, "auc": {"entropy": 0.6}}, *tuned, runs=3)
    assert [line.is_baseline for line in summarize(results).lines] == [False, True, False]
    assert "toy, mlp: ce that others are compared with: ce schedule.lr=0.2" in summarize(results).notes
    assert marks(results) == ["crl"]


def test_values_that_print_alike_are_all_marked_and_missing_ones_are_not(make_results):
    results = make_results(
        {},
        {"defense": "crl", "auc": {"entropy": 0.7}},
        {"defense": "relaxloss", "auc": {"entropy": 0.7}},
        {"defense": "dmp", "auc": {"entropy": None}},
        {"defense": "selena", "auc": {"entropy": 0.725}},
        runs=3,
    )
    assert marks(results) == ["crl", "relaxloss"]


def test_a_collapsed_training_is_counted_and_never_marked(make_results):
    results = make_results(
        {"accuracy": 0.3},
        {"defense": "crl", "accuracy": 0.9, "auc": {"entropy": 0.7}},
        {"defense": "relaxloss", "accuracy": (0.25, 0.9, 0.9), "auc": {"entropy": 0.5}},
        {"defense": "dmp", "accuracy": 0.4, "auc": {"entropy": 0.5}},  # of 40 records: 0.25 to 0.57 is its interval
        {"defense": "selena", "accuracy": 0.45, "auc": {"entropy": 0.6}},
        runs=3,
    )
    summary = summarize(results)
    assert summary.chance == {"toy": (1.0, 0.25)}  # members are of one class
    assert [line.collapsed for line in summary.lines] == [3, 0, 1, 3, 0]
    assert marks(results, max_accuracy_loss=100) == ["selena"]


def test_who_learnt_members_and_nobody_else_is_overfitted_and_has_not_collapsed(make_results):
    results = make_results(
        {"accuracy": 0.25},
        {"defense": "crl", "accuracy": 0.25, "train": 0.4},  # of 40 records: 0.25 to 0.57 is its interval
        {"defense": "dmp", "accuracy": 0.25, "train": 0.45},
        {"defense": "selena", "accuracy": 0.9, "train": 0.25},
        member_classes=4,
    )
    summary = summarize(results)
    assert summary.chance == {"toy": (0.25, 0.25)}
    assert [line.collapsed for line in summary.lines] == [0, 2, 0, 0]


def test_of_unlike_classes_the_largest_is_what_counts(make_results):
    low = {"accuracy": 0.25}
    results = make_results(low | {"train": 0.6}, low | {"defense": "crl", "train": 0.7}, member_classes=2)
    summary = summarize(results)
    assert summary.chance == {"toy": (0.5, 0.25)}
    assert [line.collapsed for line in summary.lines] == [2, 0]  # 0.6 of 40: 0.45 to 0.74


def test_marks_are_per_model_and_attacker(make_results):
    results = make_results(
        {"model": "mlp"},
        {"model": "mlp", "defense": "crl", "auc": {"entropy": 0.6}},
        {"model": "cnn"},
        {"model": "cnn", "defense": "crl", "auc": {"entropy": 0.8}},
        attackers=("adaptive", "non-adaptive"),
        runs=3,
    )
    assert list(lines(results))[:2] == [("mlp", "ce", "adaptive"), ("mlp", "ce", "non-adaptive")]
    best = judge(results, summarize(results)).best
    assert {(key.model, key.label, key.attacker) for key, quantity in best if quantity == "entropy"} == {
        (model, "crl", attacker) for model in ("mlp", "cnn") for attacker in ("adaptive", "non-adaptive")
    }


def test_without_a_finished_ce_cell_nothing_is_best_and_a_note_says_why(make_results):
    results = make_results(
        {"accuracy": None},
        {"defense": "crl", "accuracy": 0.5, "auc": {"entropy": 0.6}},
        {"defense": "dmp", "accuracy": 0.9, "auc": {"entropy": 0.8}},
        notes=("toy: 80 records",),
        runs=3,
    )
    assert marks(results) == []
    assert summarize(results).notes[:2] == (
        "toy: 80 records",
        "toy, mlp: no finished training without defense, so nobody knows what a defense costs in accuracy, and nothing "
        "is marked best",
    )


def test_without_any_mark_there_is_nothing_to_note(make_results):
    assert summarize(make_results({"defense": "crl", "auc": {"entropy": None}})).notes == ()


def test_classes_without_a_threshold_of_their_own_are_counted(make_results):
    (note,) = summarize(make_results({})).notes  # all members are of the first of four classes
    assert note == (
        "toy: 3 classes lack members or non-members among the shadow models' records: theirs is the threshold of all "
        "classes"
    )


def test_a_report_that_mixes_environments_warns(make_results):
    results = make_results(
        {},
        {"defense": "crl"},
        environments=({"torch": "2.9", "gpu": None, "cpu": "A"}, {"torch": "2.8", "gpu": "H100", "cpu": "A"}),
        warnings=("alpha is at its floor",),
    )
    assert summarize(results).warnings == (
        "alpha is at its floor",
        "results of different machines or versions are mixed, which can differ beyond the seed: "
        "torch 2.9 and 2.8; gpu none and H100",
    )


def test_one_environment_is_no_warning(make_results):
    assert summarize(make_results({}, {"defense": "crl"})).warnings == ()
