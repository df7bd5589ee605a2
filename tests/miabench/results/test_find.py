"""What `report` and `gate` find in a store: whatever names the experiment in `run`, and the runs that there are."""

import numpy as np
import pandas as pd
import pytest

import miabench
from miabench.cli import commands


@pytest.fixture(scope="module")
def tiny_store(tmp_path_factory, tiny):
    store = tmp_path_factory.mktemp("store")
    table = miabench.run(tiny(), runs=2, attack=["margin", "entropy"], store=store, executor="inline")
    assert set(table.run) == {0, 1}
    return store


def test_fewer_runs_than_were_asked_for(tiny, tiny_store):
    made = miabench.report(tiny(), runs=5, attack=["margin", "entropy"], store=tiny_store)
    assert set(made.table.run) == {0, 1}
    assert "5 runs were asked for; there are 2" in str(made)


def test_more_runs_than_were_asked_for(tiny, tiny_store):
    made = miabench.report(tiny(), runs=1, attack=["margin", "entropy"], store=tiny_store)
    assert set(made.table.run) == {0}
    assert "asked for" not in str(made)
    assert made.table.value.notna().any()


def test_attacks_that_are_named_are_those_of_a_gate(tiny, tiny_store):
    among_others = miabench.gate(tiny(attacks=["margin", "entropy"]), runs=2, attack="entropy", max="auc=1",
                                 store=tiny_store)  # fmt: skip
    assert {"entropy" in finding.what for finding in among_others} == {True}
    assert len(among_others) == 2
    every = miabench.gate(tiny(), runs=2, attack=["margin", "entropy"], max={"auc": 1}, store=tiny_store)
    assert len(every) == 4


def test_what_was_never_run_is_answered_with_what_was(tiny, tiny_store, monkeypatch, capsys):
    with pytest.raises(miabench.UserError) as error:
        miabench.report(tiny(), seed=3, store=tiny_store)
    assert "; it has 'tiny' (toy; mlp; ce; margin, entropy; 3 epochs, 2 runs, seed 0); make them with" in str(
        error.value
    )
    monkeypatch.setattr("sys.argv", ["miabench", "report", "--dataset", "digits", "--store", str(tiny_store)])
    with pytest.raises(SystemExit):
        commands.main()
    assert capsys.readouterr().err.endswith(f"make them with: miabench run --dataset digits --store {tiny_store}\n")


def test_a_pool_is_described_by_its_models(tiny, tmp_path):
    pool = {key: value for key, value in tiny(shadows=2).items() if key != "runs"} | {"protocol": "pool"}
    miabench.run(pool, models=6, store=tmp_path, executor="inline")
    with pytest.raises(miabench.UserError, match=r"it has 'tiny' \(toy; mlp; ce; margin; 3 epochs, 6 models, seed 0\)"):
        miabench.report(pool, models=8, store=tmp_path)


def test_other_settings_are_not_taken_for_other_runs(tiny, tiny_store):
    with pytest.raises(miabench.UserError, match="has no results of experiment 'tiny'"):
        miabench.report(tiny(), runs=5, epochs=4, attack=["margin", "entropy"], store=tiny_store)


# --- a file of data, by another path ---


@pytest.fixture
def table_store(tiny, tmp_path, monkeypatch):
    """Results of `here/one.csv` as `one.csv`; `there` is beside it."""
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    write_table(tmp_path / "here/one.csv", rows=80)
    monkeypatch.chdir(tmp_path / "here")
    miabench.run(of_table(tiny, "one.csv"), store=tmp_path / "store", executor="inline")
    return tmp_path / "store"


def write_table(path, rows):
    x = np.random.default_rng(0).normal(size=(rows, 2)).round(3)
    pd.DataFrame({"x": x[:, 0], "z": x[:, 1], "label": np.where(x[:, 0] > 0, "a", "b")}).to_csv(path, index=False)


def of_table(tiny, path):
    return tiny(dataset={"name": "table", "path": str(path)}, runs=2)


def test_results_of_a_file_by_another_path(tiny, table_store, tmp_path, monkeypatch):
    made = miabench.report(of_table(tiny, "one.csv"), store=table_store).table
    monkeypatch.chdir(tmp_path / "there")
    for path in ("../here/one.csv", tmp_path / "here/one.csv"):
        pd.testing.assert_frame_equal(miabench.report(of_table(tiny, path), store=table_store).table, made)
    assert len(miabench.gate(of_table(tiny, path), max="auc=1", store=table_store)) == 2
    fewer = miabench.report(of_table(tiny, path), runs=1, store=table_store)
    assert set(fewer.table.run) == {0}


def test_pairs_of_models_on_a_file_by_another_path(tiny, table_store, tmp_path):
    def pool(path):
        table = of_table(tiny, path) | {"protocol": "pool", "models": 6, "shadows": 2}
        return {key: value for key, value in table.items() if key != "runs"}

    made = miabench.run(pool("one.csv"), store=table_store, executor="inline")
    again = miabench.report(pool(tmp_path / "here/one.csv"), store=table_store).table
    pd.testing.assert_frame_equal(again, made)
    assert set(again.run) == set(range(6))


def test_another_file_of_the_same_name_has_no_results(tiny, table_store, tmp_path):
    there = tmp_path / "there/one.csv"
    write_table(there, rows=90)
    held = sorted(table_store.rglob("*"))
    with pytest.raises(miabench.UserError, match=r"; table.path=one.csv is of other data, or was computed otherwise; "):
        miabench.report(of_table(tiny, there), store=table_store)
    assert sorted(table_store.rglob("*")) == held, "looking writes nothing"


def test_a_path_to_no_file_is_answered_with_the_one_that_has_results(tiny, table_store, tmp_path):
    with pytest.raises(miabench.UserError, match=r"(?s)there/one.csv.*the store has results with table.path=one.csv"):
        miabench.report(of_table(tiny, tmp_path / "there/one.csv"), store=table_store)
