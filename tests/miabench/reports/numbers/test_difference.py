"""Paired differences against a twin that looks up every record by its row in plain loops."""

import numpy as np
import pytest

from miabench.metrics.bootstrap import crossed_auc_difference, crossed_mean_difference
from miabench.reports.numbers.difference import compare, in_common
from miabench.reports.numbers.summary import summarize
from miabench.results.results import Records


def by_row(records):
    """{run: {pool row: (is a member, value)}}."""
    return {
        run: {
            int(row): (bool(m), float(v))
            for row, m, v in zip(records.rows, records.members, records.values[i], strict=True)
        }
        for i, run in enumerate(records.runs)
    }


def twin(defended, undefended, members_too):
    """Membership and the two sides' numbers on the records that both have in the same role, and the runs of both."""
    a, b = by_row(defended), by_row(undefended)
    runs = [run for run in sorted(a) if run in b]
    first = runs[0]
    rows = [row for row in sorted(a[first]) if row in b[first] and a[first][row][0] == b[first][row][0]]
    rows = [row for row in rows if members_too or not a[first][row][0]]
    members = np.array([a[first][row][0] for row in rows])
    sides = [np.array([[side[run][row][1] for row in rows] for run in runs]) for side in (a, b)]
    return members, *sides


def auc_by_pairs(scores, members):
    inside, outside = scores[members], scores[~members]
    return np.mean([(i > o) + 0.5 * (i == o) for i in inside for o in outside])


@pytest.fixture
def results(make_results):
    return make_results(
        {"accuracy": (0.8, 0.75, 0.8), "auc": {"entropy": (0.9, 0.8, 0.95), "nn": 0.7}},
        {"defense": "crl", "accuracy": (0.7, 0.8, None), "auc": {"entropy": (0.6, 0.7, None), "nn": None}},
        {"defense": "relaxloss", "accuracy": (0.6, 0.9, None), "auc": {"entropy": (0.5, 0.6, None), "nn": None}},
        {"defense": "advreg", "withheld": 10, "accuracy": 0.6, "auc": {"entropy": 0.6, "nn": "no"}},
        runs=3,
    )


def test_records_in_common_by_hand():
    defended = Records(
        rows=np.array([7, 3, 5, 9, 1]),
        members=np.array([True, True, False, False, True]),
        values=np.array([[70.0, 30, 50, 90, 10], [71, 31, 51, 91, 11]]),
        runs=(0, 2),
    )
    undefended = Records(
        rows=np.array([1, 5, 7, 3]),
        members=np.array([True, False, True, False]),  # row 3 is a member of the other only
        values=np.array([[-1.0, -5, -7, -3], [-11, -51, -71, -31]]),
        runs=(2, 1),
    )
    pair = in_common(defended, undefended)
    assert pair is not None
    assert pair.members.tolist() == [True, False, True]  # rows 1, 5, 7
    assert pair.defended.tolist() == [[11, 51, 71]]
    assert pair.baseline.tolist() == [[-1, -5, -7]]


@pytest.mark.parametrize(("position", "n_members", "runs"), [(1, 40, 2), (2, 40, 2), (3, 30, 3)])
def test_differences_equal_the_slow_twin(results, position, n_members, runs):
    summary = summarize(results)
    ce, line = summary.lines[0], summary.lines[position]
    found = compare(results, summary)[line.key]

    members, a, b = twin(*(results.records(x.cell, "adaptive", "entropy") for x in (line, ce)), members_too=True)
    expected = np.mean([auc_by_pairs(x, members) - auc_by_pairs(y, members) for x, y in zip(a, b, strict=True)])
    auc = found.attacks["entropy"]
    assert auc.value == pytest.approx(expected, abs=1e-12)
    assert (auc.low, auc.high) == crossed_auc_difference(a, b, members)[1:]
    assert auc.low < auc.value < auc.high
    assert (auc.n_members, auc.n_nonmembers, auc.runs) == (n_members, 40, runs)

    _, a, b = twin(*(results.records(x.cell) for x in (line, ce)), members_too=False)
    assert found.accuracy.value == pytest.approx((a - b).mean(), abs=1e-12)
    assert (found.accuracy.low, found.accuracy.high) == crossed_mean_difference(a, b)[1:]
    assert (found.accuracy.n_members, found.accuracy.n_nonmembers, found.accuracy.runs) == (n_members, 40, runs)


def test_the_difference_of_accuracy_by_hand(results):
    summary = summarize(results)
    accuracy = compare(results, summary)[summary.lines[1].key].accuracy
    assert accuracy.value == pytest.approx((0.7 + 0.8) / 2 - (0.8 + 0.75) / 2)  # the third run is not finished


def test_what_one_side_lacks_has_no_difference(results):
    summary = summarize(results)
    differences = compare(results, summary)
    assert summary.lines[0].key not in differences  # ce itself
    assert [set(differences[line.key].attacks) for line in summary.lines[1:]] == 3 * [{"entropy"}]


def test_cells_without_a_common_run_are_not_compared(make_results):
    results = make_results(
        {"accuracy": (0.8, None), "auc": {"entropy": (0.9, None)}},
        {"defense": "crl", "accuracy": (None, 0.8), "auc": {"entropy": (None, 0.9)}},
    )
    assert compare(results, summarize(results)) == {}


def test_without_ce_there_is_nothing_to_compare_with(make_results):
    results = make_results({"defense": "crl"}, {"model": "cnn"})
    assert compare(results, summarize(results)) == {}


def test_each_attacker_and_model_is_compared_with_its_own_ce(make_results):
    results = make_results(
        {"auc": {"entropy": 0.9}},
        {"defense": "crl", "auc": {"entropy": 0.6}},
        {"model": "cnn", "auc": {"entropy": 0.8}},
        {"model": "cnn", "defense": "crl", "auc": {"entropy": 0.7}},
        attackers=("adaptive", "non-adaptive"),
    )
    found = {key: c.attacks["entropy"].value for key, c in compare(results, summarize(results)).items()}
    assert found == {
        ("toy", model, attacker, "crl"): pytest.approx(value)
        for model, value in (("mlp", -0.3), ("cnn", -0.1))
        for attacker in ("adaptive", "non-adaptive")
    }
