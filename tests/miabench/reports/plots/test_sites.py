"""Which setting stands for a defense where there is not room for all."""

from miabench.reports.numbers.summary import summarize
from miabench.reports.plots.sites import choose


def labels(results, most):
    summary = summarize(results)
    lines, said = choose(summary, summary.lines, most)
    return [line.cell.label for line in lines], said


def setting(a, accuracy, nn, loss):
    return {"defense": "crl", "params": {"a": a}, "accuracy": accuracy, "auc": {"nn": nn, "loss": loss}}


def test_all_stay_where_there_is_room(make_results):
    assert labels(make_results({}, setting(1, 0.5, 0.7, 0.7)), most=2) == (["ce", "crl a=1"], "")


def test_a_defense_is_shown_where_its_strongest_attack_is_weakest_among_those_that_keep_the_accuracy(make_results):
    settings = [setting(1, 0.8, 0.9, 0.6), setting(2, 0.775, 0.7, 0.8), setting(3, 0.7, 0.6, 0.6)]
    shown, said = labels(make_results({}, *settings), most=3)
    assert shown == ["ce", "crl a=2"]
    assert "within 5 points of ce's accuracy" in said


def test_a_defense_that_never_keeps_the_accuracy_is_shown_at_its_most_accurate(make_results):
    shown, _ = labels(make_results({}, setting(1, 0.5, 0.6, 0.6), setting(2, 0.6, 0.8, 0.8)), most=1)
    assert shown == ["ce", "crl a=2"]


def test_what_is_not_trained_is_not_shown(make_results):
    assert labels(make_results({}, setting(1, None, None, None)), most=1)[0] == ["ce"]
