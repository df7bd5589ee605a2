"""What is remembered of a line while it is judged: the same numbers as made anew, on every scope, within bounds."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from miabench.evaluation.scores import TargetValues
from miabench.metrics import difference, mean_over_runs, stacked, strongest, worst_of
from miabench.reports.numbers import evidence, stored
from miabench.reports.numbers.best import baselines
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.influences import attacked, correctness, numbers, of_all, shared
from miabench.reports.numbers.levels import levels
from miabench.reports.numbers.stored import ACCURACY, Stored
from miabench.reports.numbers.summary import summarize

ACCESS = {"gap": "label", "entropy": "black-box", "nn": "black-box"}
AUC = {"gap": 0.6, "entropy": (0.9, 0.85, 0.88, 0.9, 0.92, 0.87), "nn": 0.8}
CRL = {
    "defense": "crl",
    "auc": {"gap": 0.55, "entropy": (0.7, 0.6, 0.65, 0.7, 0.72, 0.67), "nn": 0.75},
    "accuracy": (0.7, 0.8, 0.6, 0.7, 0.75, 0.65),
}
CELLS = {
    "alike": [{"auc": AUC}, CRL],
    "withheld": [
        {"auc": AUC},
        CRL | {"withheld": 15},
        CRL | {"params": {"a": 1}, "withheld": 30},
        {"params": {"a": 2}},
    ],
    "a run missing": [{"auc": AUC | {"nn": (0.9, None, 0.7)}}, CRL, CRL | {"params": {"a": 1}, "withheld": 15}],
    "sites": [one | {"dataset": name} for one in ({"auc": AUC}, CRL) for name in ("toy", "other")],
}


def anew(results, summary, line, base):
    """Means, worst cases and changes of a line, each made by itself of what is stored."""

    def part(of, name, metric):
        return correctness(results, of) if name == ACCURACY else attacked(results, of, name, metric)

    def level(of, column):
        known = {name: part(of, name, column.metric) for name in levels(summary.index)[column.level]}
        return {name: runs for name, runs in known.items() if runs}

    def made(metric, parts, scope):
        return [one for one in numbers(metric, parts, scope) if one is not None]

    names = {ACCURACY: ACCURACY, **dict.fromkeys(line.attacks, summary.metric)}
    columns = Stored(results, summary, line).columns()
    means, worst, changes = {}, {}, {}
    for name, metric in names.items():
        mine = part(line, name, metric)
        scope = of_all(shared([correctness(results, line)]), [mine])
        means[name] = [mean_over_runs(one) for one in made(metric, [mine], scope)] if scope else []
        if base is not line:
            theirs = part(base, name, metric)
            common = of_all(shared([correctness(results, line), correctness(results, base)]), [mine, theirs])
            changes[name] = difference(*made(metric, [mine, theirs], common)) if common else None
    for column in columns:
        mine, theirs = (list(level(of, column).values()) for of in (line, base))
        scope = of_all(shared([correctness(results, line)]), mine)
        worst[column] = worst_of(stacked(made(column.metric, mine, scope)))
        if base is not line:
            common = of_all(shared([correctness(results, line), correctness(results, base)]), [*mine, *theirs])
            a, b = (stacked(made(column.metric, one, common)) for one in (mine, theirs))
            changes[column] = difference(strongest(a), strongest(b))
    return means, worst, changes


@pytest.mark.parametrize("kind", [*CELLS, "dear", "pool"])
def test_evidence_is_what_each_number_by_itself_says(make_results, dear, kind, monkeypatch):
    """Bit for bit: whatever is remembered, and on whatever records and runs lines, levels and attacks meet."""
    pool, attackers = kind == "pool", ("adaptive", "non-adaptive") if kind == "sites" else ("adaptive",)
    cells = CELLS.get(kind, CELLS["withheld"])
    made = make_results(*cells, access=ACCESS, runs=6 if pool else 3, records=200, pool=pool, attackers=attackers)
    results = dear(made, slice(80, 320)) if kind == "dear" else made
    summary = summarize(results)
    bases = baselines(summary.lines)
    expected = {line.key: anew(results, summary, line, bases[line.site_key]) for line in summary.lines}
    for most in (2**27, 20_000, 0):
        monkeypatch.setattr(stored, "MOST", most)
        judged = judge(results, summary)
        assert list(judged.lines) == [line.key for line in summary.lines]
        for key, found in judged.lines.items():
            means, worst, changes = expected[key]
            assert {ACCURACY: [found.accuracy]} | {name: [one] for name, one in found.attacks.items()} == {
                name: one for name, one in means.items() if one
            }
            for column, case in worst.items():
                assert (found.worst[column].case.low, found.worst[column].case.attack) == (case.low, case.attack)
                assert found.worst[column].case.value >= case.value  # not below that of a weaker level
            assert {name: one.found[:4] for name, one in found.changes.items()} == {
                name: one[:4] for name, one in changes.items() if one is not None
            }


def lines_of(results):
    summary = summarize(results)
    return [Stored(results, summary, line) for line in summary.lines]


def test_nothing_is_made_twice_on_one_scope(make_results, monkeypatch):
    """Each attack of each metric once, and all that a level adds at once."""
    calls = []
    monkeypatch.setattr(stored, "numbers", lambda metric, parts, scope: calls.append((metric, len(parts))) or numbers(
        metric, parts, scope))  # fmt: skip
    results = make_results({"auc": AUC}, CRL, access=ACCESS, runs=3, records=200)
    judge(results, summarize(results))
    made = [(metric, parts) for metric, parts in calls if parts]
    of_a_line = [("auc", 1), ("tpr@1%", 1), ("auc", 2), ("tpr@1%", 2), (ACCURACY, 1)]
    assert made == of_a_line * 2


@pytest.mark.parametrize("most", [0, 10_000, 30_000])
def test_no_more_is_remembered_than_there_is_room_for(make_results, most, monkeypatch):
    monkeypatch.setattr(stored, "MOST", most)
    own, _ = lines_of(make_results({"auc": AUC}, CRL, access=ACCESS, runs=3, records=200))
    scope = of_all(own.scope, [own.attack(name, "auc") for name in ACCESS])
    first, again = (own.numbers("auc", list(ACCESS), scope) for _ in range(2))
    strongest = own.strongest(next(column for column in own.columns() if column.metric == "auc"), scope)
    assert strongest.records.base is None  # it is no part of all attacks' influences, which would be held with it
    held = sum(one.records.nbytes for one in own._remembered.values())
    assert held <= most < held + 3 * 400 * 8  # one more has no room
    for name in ACCESS:
        assert first[name].records.tobytes() == again[name].records.tobytes()


def test_what_a_baseline_remembers_goes_with_its_site(make_results, monkeypatch):
    alive = weakref.WeakSet()

    class Seen(Stored):
        def _remember(self, key, one):
            alive.add(self)
            super()._remember(key, one)
            assert len({other.line.site_key for other in alive}) == 1

    monkeypatch.setattr(evidence, "Stored", Seen)
    results = make_results(*CELLS["sites"], access=ACCESS, runs=2)
    assert len(judge(results, summarize(results)).lines) == 4


def test_two_lines_share_what_both_have(make_results):
    ce, crl = lines_of(make_results({}, {"defense": "crl", "withheld": 15}, runs=3))
    assert ce.shared_with(ce) is ce.scope
    for one, other in ((ce, crl), (crl, ce)):
        scope = one.shared_with(other)
        assert {len(rows) for rows in scope.rows.values()} == {65}
        assert scope.key == shared([one.correct, other.correct]).key == crl.scope.key
        assert scope.fewest == (25, 40)


def test_scopes_of_other_runs_records_membership_or_parts_have_other_keys():
    labels = np.zeros(6, np.int64)
    plain = {run: TargetValues(np.ones(6), np.arange(6) < 3, labels, np.arange(6)) for run in (0, 1)}
    moved = {run: replace(one, members=np.arange(6) < 2) for run, one in plain.items()}
    others = {run: replace(one, rows=np.arange(1, 7)) for run, one in plain.items()}
    some = {run: TargetValues(*(part[1:5] for part in (one.values, one.members, one.labels, one.rows)))
            for run, one in plain.items()}  # fmt: skip
    scope = shared([plain])
    scopes = [scope, shared([moved]), shared([others]), shared([{0: plain[0]}]), shared([{1: plain[1]}]),
              shared([plain, some]), of_all(scope, [some])]  # fmt: skip
    assert len({one.key for one in scopes}) == len(scopes)
    assert of_all(scope, [plain]) is scope
    assert shared([dict(plain)]).key == scope.key
    assert (scope.whole, of_all(scope, [some]).whole) == (True, False)
    assert not shared([{0: plain[0], 1: moved[1]}]).whole
