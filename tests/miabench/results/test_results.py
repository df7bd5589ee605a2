"""What a report reads of the store, and that it reads nothing else than what was written."""

import json

import pytest

from miabench.errors import UserError
from miabench.files.checksum import checksum
from miabench.files.json import sealed
from miabench.files.npz import read_npz, write_npz
from miabench.reports.write import Report
from miabench.results.results import Results
from miabench.store.store import Store


def test_only_finished_runs_have_records(make_results):
    results = make_results({"auc": {"entropy": (0.9, None, 0.8)}}, runs=3)
    targets = results.targets(results.index.cells[0], "adaptive", "entropy")
    assert list(targets) == [0, 2]
    for target in targets.values():
        assert target.rows.tolist() == list(range(80))
        assert target.members.sum() == 40
    assert (targets[0].values != targets[2].values).any()
    assert list(results.scores(results.index.cells[0], "adaptive", "entropy")) == [0, 2]
    assert list(results.targets(results.index.cells[0])) == [0, 1, 2]  # whether records are classified correctly


@pytest.mark.parametrize("name", ["rows.json", "arrays.npz"])
def test_damage_is_noticed(make_results, name):
    results = make_results({})
    entry = results.index.entries[-1]
    ref = entry.metrics if name == "rows.json" else entry.records
    path = results.store.path(ref) / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    again = Results(results.index, Store(results.store.folder))
    with pytest.raises(UserError, match=f"{name} is damaged"):
        _ = again.table if name == "rows.json" else again.targets(again.index.cells[0], "adaptive", "entropy")


def forge(path, change):
    """Change the rows of an artifact."""
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    resealed(path)


def resealed(path):
    """Let the manifest say that a file of an artifact is whole."""
    about = path.with_name("manifest.json")
    content = json.loads(about.read_bytes())
    del content["sha256"]
    content["files"][path.name] = checksum(path)
    about.write_bytes(sealed(json.dumps(content).encode()))


FORGED = {
    "text": lambda rows: rows[0].update(value="0.9"),
    "nan": lambda rows: rows[0].update(value=float("nan")),
    "infinite": lambda rows: rows[0].update(low=float("-inf")),
    "list": lambda rows: rows[0].update(high=[[0.9]]),
    "no fraction": lambda rows: rows[0].update(value=1e300),
    "half a record": lambda rows: rows[0].update(n_members=0.5),
    "unknown metric": lambda rows: rows[0].update(metric="recall"),
    "metric of no text": lambda rows: rows[0].update(metric=["auc"]),
    "no metric": lambda rows: rows[0].pop("metric"),
    "no value": lambda rows: rows[0].pop("value"),
    "reason of no text": lambda rows: rows[0].update(reason={}),
    "unknown counts": lambda rows: rows[0].update(references={"target_in": "many"}),
    "classes of no number": lambda rows: rows[0].update(classes_without_threshold="x"),
    "no row": lambda rows: rows.insert(0, 1),
    "deep": lambda rows: rows.insert(0, json.loads("[" * 500 + "]" * 500)),
}


@pytest.mark.parametrize("name", ["rows.json", "classes.json"])
@pytest.mark.parametrize("forged", FORGED)
def test_what_is_no_measurement_is_named(make_results, name, forged):
    results = make_results({"auc": {"entropy": 0.9}})
    for path in results.store.folder.glob(f"metrics/*/{name}"):
        forge(path, FORGED[forged])
    with pytest.raises(UserError, match=rf"/metrics/[0-9a-f]+/{name} is damaged \(.*; remove the folder"):
        Report(results).text("json")


@pytest.mark.parametrize("number", ["first", None, [0], 0.5])
def test_a_class_is_a_number(make_results, number):
    results = make_results({"auc": {"entropy": 0.9}})
    for path in results.store.folder.glob("metrics/*/classes.json"):
        forge(path, lambda rows: rows[0].update({"class": number}))
    with pytest.raises(UserError, match=r"classes\.json is damaged"):
        _ = results.class_table


def test_scores_of_other_records_than_the_accuracies_are_refused(make_results):
    results = make_results({"auc": {"entropy": 0.9}})
    for path in results.store.folder.glob("scores/*/arrays.npz"):
        arrays = read_npz(path)
        write_npz(path, arrays | {"target_row": arrays["target_row"] + 1000})
        resealed(path)
    with pytest.raises(UserError, match="of other records than its accuracies"):
        Report(results).text("table")
