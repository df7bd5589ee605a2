"""What a report reads of the store, and that it reads nothing else than what was written."""

import pytest

from miabench.errors import UserError
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
