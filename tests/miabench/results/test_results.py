"""What a report reads of the store, and that it reads nothing else than what was written."""

import pytest

from miabench.errors import UserError
from miabench.results.results import Results
from miabench.store.store import Store


def test_only_finished_runs_have_records(make_results):
    results = make_results({"auc": {"entropy": (0.9, None, 0.8)}}, runs=3)
    records = results.records(results.index.cells[0], "adaptive", "entropy")
    assert records.runs == (0, 2)
    assert records.values.shape == (2, 80)
    assert records.rows.tolist() == list(range(80))
    assert records.members.sum() == 40


@pytest.mark.parametrize("name", ["rows.json", "arrays.npz"])
def test_damage_is_noticed(make_results, name):
    results = make_results({})
    entry = results.index.entries[-1]
    ref = entry.metrics if name == "rows.json" else entry.records
    path = results.store.path(ref) / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    again = Results(results.index, Store(results.store.folder))
    with pytest.raises(UserError, match=f"{name} is damaged"):
        _ = again.table if name == "rows.json" else again.records(again.index.cells[0], "adaptive", "entropy")
