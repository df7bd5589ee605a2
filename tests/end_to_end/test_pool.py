"""Whole runs under protocol pool: who is compared with whom, and what is refused."""

import json
import tomllib

import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.files.toml import toml_text
from miabench.reports.write import Report, report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store

COUNTS = [{"name": "counts", "kind": kind} for kind in ("out", "in", "difference")]


def pool(tiny, **changes):
    experiment = tiny(protocol="pool", models=6, attacks=["margin", *COUNTS], more_plugins=["counts"], **changes)
    return {key: value for key, value in experiment.items() if key != "runs"} | {"shadows": changes.get("shadows", 2)}


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory):
    """CE, and a defense that withholds a share of the training part."""
    folder = tmp_path_factory.mktemp("pool")
    defense = ["ce", {"name": "advreg", "reference_fraction": 0.5}]
    table = miabench.run(pool(tiny, defense=defense), store=folder, executor="inline")
    return table, folder


def aucs(table, attack, defense):
    chosen = table[(table.attack == attack) & (table.defense == defense) & (table.metric == "auc")]
    return chosen.set_index("run").value


def test_every_model_is_a_target(ran):
    table, folder = ran
    assert set(table.run) == set(range(6))
    few = "needs .*members|shadow models have [01].[0-9] references on average|nobody is called a member"
    assert table[table.value.isna()].reason.str.contains(few).all()
    assert table[table.metric.isin(["auc", "train_accuracy", "test_accuracy"])].value.notna().all()
    networks = [json.loads((path / "manifest.json").read_text()) for path in (folder / "networks").iterdir()]
    assert len(networks) == 12, "six models under each of two defenses: targets, shadows and references are the same"


def test_how_many_references_do_not_hold_a_record_tells_nothing(ran):
    table, _ = ran
    assert (aucs(table, "counts", "ce") == 0.5).all()
    assert (aucs(table, "counts", "advreg") == 0.5).all()


def test_how_many_hold_it_tells_nothing_where_nothing_is_withheld(ran):
    table, _ = ran
    assert (aucs(table, "counts kind=in", "ce") == 0.5).all()
    withheld = table[(table.attack == "counts kind=in") & (table.defense == "advreg") & (table.metric == "auc")]
    assert ((withheld.low <= 0.5) & (withheld.high >= 0.5)).sum() >= 5


def test_withheld_records_are_no_members(ran):
    table, _ = ran
    accuracy = table[(table.metric == "test_accuracy") & (table.run == 0)].set_index("defense")
    assert accuracy.n_members["advreg"] == pytest.approx(accuracy.n_members["ce"] / 2, abs=1)
    assert accuracy.n_nonmembers["advreg"] == accuracy.n_nonmembers["ce"]


def test_a_report_is_written_though_runs_have_other_members(ran, tiny, tmp_path):
    """Of what figures show of records, the first target's stand for all."""
    _, folder = ran
    experiment = load_experiment(pool(tiny, defense=["ce", {"name": "advreg", "reference_fraction": 0.5}]))
    store = Store(folder, create=False)
    results = Results(Index.load(store, experiment), store)
    for cell in results.index.cells:
        assert len(results.targets(cell, "adaptive", "margin")) == 6
        (answers,) = results.answers(cell)
        assert answers.members.sum() == cell.counts["members"]
    report(results, "table", out=tmp_path / "report")
    assert (tmp_path / "report" / "report.html").exists()


def test_without_shadows_what_needs_them_is_not_measured(tiny, tmp_path):
    table = miabench.run(pool(tiny, shadows=0), store=tmp_path, executor="inline")
    margin = table[(table.attack == "margin") & (table.run == 0)].set_index("metric")
    assert margin.value["auc"] > 0
    assert margin.reason["balanced_accuracy"] == margin.reason["balanced_accuracy_global"] == "no shadow models"


def test_halves_without_shadows(tiny, tmp_path):
    """One training a run; an AUC needs no more. What learns or compares is "n/a", and a report says why."""
    experiment = tiny(runs=2, shadows=0, attacks=["entropy", "nn", "lira"], attacker={"shadow_defense": "both"})
    table = miabench.run(experiment, store=tmp_path, executor="inline")
    assert len(list((tmp_path / "networks").iterdir())) == 2
    assert set(table.attacker.dropna()) == {"adaptive", "non-adaptive"}
    for attack in ("nn", "lira"):
        assert set(table[table.attack == attack].reason) == {"no shadow models"}
    entropy = table[table.attack == "entropy"]
    assert entropy[entropy.metric == "auc"].value.notna().all()
    assert set(entropy[entropy.metric == "balanced_accuracy"].reason) == {"no shadow models"}
    store = Store(tmp_path, create=False)
    text = Report(Results(Index.load(store, load_experiment(experiment)), store)).text("markdown")
    assert "no shadow models: attacks learn nothing, and no threshold is learnt" in text


def test_an_attack_that_learns_needs_shadows(tiny, tmp_path):
    experiment = pool(tiny, shadows=0) | {"attacks": ["nn", "margin"]}
    table = miabench.run(experiment, store=tmp_path, executor="inline")
    assert set(table[table.attack == "nn"].reason) == {"no shadow models"}


def test_an_attack_that_needs_a_population_is_not_measured_without_one(tiny, tmp_path):
    experiment = pool(tiny, population=0) | {"attacks": ["attack-p", "quantile", "rmia"]}
    table = miabench.run(experiment, store=tmp_path, executor="inline")
    reasons = {attack: set(rows.reason.dropna()) for attack, rows in table[table.metric == "auc"].groupby("attack")}
    missing = {"it compares with records known to be outside a model's training, and there are none"}
    assert reasons == {"attack-p": missing, "quantile": missing, "rmia": set()}


def test_online_attacks_are_not_for_halves(tiny, tmp_path):
    experiment = tiny(attacks=["counts", "margin"], more_plugins=["counts"])
    table = miabench.run(experiment, store=tmp_path, executor="inline")
    (reason,) = set(table[table.attack == "counts"].reason)
    assert reason.startswith("it needs reference models trained with and without each record")


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_an_experiment_reads_back_as_its_file_says(tiny, protocol):
    experiment = load_experiment(pool(tiny), {"protocol": protocol})
    assert load_experiment(tomllib.loads(toml_text(experiment.as_file()))) == experiment


@pytest.mark.parametrize(("key", "value"), [("models", 16), ("population", 0.1)])
def test_an_option_of_pairs_is_refused_beside_protocol_disjoint(tiny, key, value):
    """Also where it is the default: whoever gives it expects that it does something."""
    with pytest.raises(miabench.UserError, match=f"{key} = {value}: protocol disjoint has no pairs of models"):
        load_experiment(pool(tiny), {"protocol": "disjoint", key: value})
    assert load_experiment(pool(tiny), {"protocol": "disjoint"}).protocol == "disjoint"  # the file's are the pool's


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": 3}, "runs = 3: under protocol pool every model is a target: set models"),
        ({"models": 7}, "models = 7"),
        ({"models": 4}, "models = 4"),
        ({"shadows": 3}, "shadows = 3: protocol pool with 6 models takes an even number, 0 to 4"),
        ({"shadows": 6}, "shadows = 6: protocol pool with 6 models takes an even number, 0 to 4"),
        ({"population": 1}, "population = 1"),
        ({"protocol": "tune"}, "protocol = 'tune' is that of miabench tune's trials; choose pool or disjoint"),
        ({"protocol": "disjoint", "models": 8}, "models = 8: protocol disjoint has no pairs of models"),
        (
            {"protocol": "disjoint", "models": 16, "population": 0.2},
            "population = 0.2: protocol disjoint has no pairs of models",
        ),
    ],
    ids=str,
)
def test_what_a_pool_refuses(tiny, tmp_path, changes, message):
    with pytest.raises(miabench.UserError) as refused:
        miabench.run(pool(tiny) | changes, store=tmp_path, executor="inline")
    assert message in str(refused.value)
