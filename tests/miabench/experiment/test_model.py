"""Experiments are read, overridden and refused as the command line promises."""

import pytest

import miabench
from miabench import UserError
from miabench.experiment.grid import expand
from miabench.experiment.load import load_experiment, presets
from miabench.experiment.model import Experiment
from miabench.plugins.discover import discover
from miabench.training.schedule import Schedule

TOML = """
name = "demo"
dataset = {name = "toy", n = 100}
model = "mlp"
attacks = ["entropy", {name = "grad-x", norm = "l1"}]
runs = 2
[schedule]
epochs = 50
milestones = {40 = 0.01, 20 = 0.02}
[[defense]]
name = "crl"
alpha_rce = [0.5, 1.0]
[[defense]]
name = "ce"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "demo.toml"
    path.write_text(TOML)
    return path


def message(*args):
    with pytest.raises(miabench.UserError) as caught:
        load_experiment(*args)
    return "\n".join(caught.value.problems)


def params(experiment, kind="defense"):
    return {choice.name: choice.params for choice in getattr(experiment, kind)}


def test_toml(file):
    experiment = load_experiment(file)
    assert params(experiment) == {"crl": {"alpha_rce": [0.5, 1.0]}, "ce": {}}
    assert params(experiment, "attacks") == {"entropy": {}, "grad-x": {"norm": "l1"}}
    assert experiment.schedule == Schedule(epochs=50, milestones={20: 0.02, 40: 0.01})
    assert (experiment.seed, experiment.shadows, experiment.runs) == (0, 5, 2)


def test_round_trip(file):
    experiment = load_experiment(file)
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
    assert load_experiment(experiment) == experiment


def test_the_name_is_the_files_where_it_gives_none(tmp_path):
    path = tmp_path / "some-file.toml"
    path.write_text(TOML.replace('name = "demo"\n', ""))
    assert load_experiment(path).name == "some-file"


def test_default_is_a_preset():
    assert load_experiment(None) == load_experiment("bits")
    assert load_experiment(None).protocol == "pool"


def test_runs_alone_mean_the_protocol_that_has_runs():
    """With the default preset; where an experiment is named, it keeps its own."""
    repeated = load_experiment(None, {"runs": 2, "shadows": 1})
    assert (repeated.protocol, repeated.runs, repeated.shadows) == ("disjoint", 2, 1)
    with pytest.raises(UserError, match="runs = 2: under protocol pool every model is a target"):
        load_experiment("bits", {"runs": 2})
    with pytest.raises(UserError, match="runs = 2: under protocol pool every model is a target"):
        load_experiment(None, {"runs": 2, "protocol": "pool"})


@pytest.mark.parametrize("key", ["models", "population"])
def test_the_protocol_without_pairs_refuses_the_keys_of_pairs_that_it_would_ignore(key):
    small = {"dataset": "bits", "model": "mlp", "defense": "ce", "attacks": "nn"}
    with pytest.raises(UserError, match=f"{key} = 0.25: protocol disjoint has no pairs of models"):
        load_experiment({**small, key: 0.25})
    default = Experiment.model_fields[key].default
    assert load_experiment({**small, key: default}).protocol == "disjoint"  # as a file that writes all out
    with pytest.raises(UserError, match=f"{key} = {default}: protocol disjoint has no pairs of models"):
        load_experiment(small, {key: default, "protocol": "disjoint"})


def test_the_protocol_of_trials_is_refused():
    small = {"dataset": "bits", "model": "mlp", "defense": "ce", "attacks": "nn", "protocol": "tune"}
    with pytest.raises(UserError, match="protocol = 'tune' is that of miabench tune's trials; choose pool"):
        load_experiment(small)
    with pytest.raises(UserError, match="choose pool or disjoint"):
        load_experiment(None, {"protocol": "tune"})


def test_another_protocol_replaces_what_only_the_first_one_knows():
    pooled = load_experiment(
        {"dataset": "bits", "model": "mlp", "defense": "ce", "attacks": "nn", "runs": 3}, {"protocol": "pool"}
    )
    assert (pooled.protocol, pooled.models, pooled.shadows) == ("pool", 16, 4)


def test_what_is_wrong_between_keys_is_said_without_the_whole_experiment():
    with pytest.raises(UserError) as error:
        load_experiment(None, {"shadows": 1})
    assert str(error.value) == "preset bits: shadows = 1: protocol pool with 8 models takes an even number, 0 to 6"


def test_what_the_default_preset_is():
    assert load_experiment(None).name == "bits"
    assert "bits" in presets()


def test_options_replace_keys_and_keep_what_is_set_for_a_plugin(file):
    experiment = load_experiment(file, {"defense": ["crl", "relaxloss"], "epochs": 3, "runs": 1, "attacks": ["grad_x"]})
    assert params(experiment) == {"crl": {"alpha_rce": [0.5, 1.0]}, "relaxloss": {}}
    assert params(experiment, "attacks") == {"grad-x": {"norm": "l1"}}
    assert (experiment.schedule.epochs, experiment.schedule.milestones[40], experiment.runs) == (3, 0.01, 1)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("crl.alpha_rce=2", lambda e: params(e)["crl"] == {"alpha_rce": 2}),
        ("crl.alpha_rce = [1, 2]", lambda e: params(e)["crl"] == {"alpha_rce": [1, 2]}),
        ("grad_x.norm=l2", lambda e: params(e, "attacks")["grad-x"] == {"norm": "l2"}),
        ("dataset.n=7", lambda e: params(e, "dataset")["toy"] == {"n": 7}),
        ("toy.n=7", lambda e: params(e, "dataset")["toy"] == {"n": 7}),
        ("schedule.lr=1e-3", lambda e: e.schedule.lr == 0.001),
        ("schedule.milestones.30=0.5", lambda e: e.schedule.milestones == {20: 0.02, 30: 0.5, 40: 0.01}),
        ("crl.schedule.lr=0.1", lambda e: {c.name: c.schedule for c in e.defense}["crl"] == {"lr": 0.1}),
        ("attacker.shadow_defense=both", lambda e: e.attacker.shadow_defense == "both"),
        ("seed=3", lambda e: e.seed == 3),
        ("dataset=digits", lambda e: params(e, "dataset") == {"digits": {}}),
        ('attacks=["nn"]', lambda e: params(e, "attacks") == {"nn": {}}),
    ],
)
def test_set(file, assignment, expected):
    assert expected(load_experiment(file, {"set": [assignment]}))


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("crl", "--set 'crl': write KEY=VALUE"),
        ("clr.alpha_rce=1", "--set clr.alpha_rce: the experiment has no plugin 'clr'; did you mean 'crl'?"),
        ("shedule=1", "'shedule' is no key of an experiment; did you mean 'schedule'?"),
        ("schedule.epoch=1", "the options: unknown key 'schedule.epoch'; did you mean 'epochs'?"),
        ("schedule=1", "the options: schedule = 1: Input should be a table"),
        ("runs.x=1", "--set 'runs.x=1': 'runs' is one value and has no parts"),
        ("schedule.epochs.x=1", "--set 'schedule.epochs.x=1': 'epochs' is one value and has no parts"),
        ("attacks=5", "the options: attacks.0 = 5: should be a name, or a table with a name"),
    ],
)
def test_set_errors(file, assignment, expected):
    assert expected in message(file, {"set": [assignment]})


def test_the_file_is_not_blamed_for_what_an_option_says(file):
    assert message(file, {"runs": 0}).startswith("the options: runs = 0: ")
    assert message(file, {"epochs": 0}).startswith("the options: schedule.epochs = 0: ")
    text = message(None, {"device": "gpu", "set": ["schedule.lr=-1"]}).splitlines()
    assert text[0] == "the options: device = 'gpu': expected auto, cpu, cuda, cuda:1, mps"
    assert text[1].startswith("the options: schedule.lr = -1: ")


def test_what_the_file_says_beside_a_replaced_key(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(TOML.replace("epochs = 50", "lr = -1"))
    assert message(path, {"epochs": 3}).startswith(f"{path}: schedule.lr = -1: ")


def test_all_problems_at_once_each_with_file_and_key(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(TOML.replace("runs = 2", "runs = 0\nshadow = 3").replace("epochs = 50", "epochs = 0"))
    text = message(path)
    assert len(text.splitlines()) == 3
    assert f"{path}: unknown key 'shadow'; did you mean 'shadows'?" in text
    assert f"{path}: runs = 0: Input should be greater than or equal to 1" in text
    assert f"{path}: schedule.epochs = 0" in text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("bitz", "cannot read experiment 'bitz': No such file or directory; did you mean 'bits'? Presets: "),
        ("uai24/table1b", "did you mean 'uai24/table1b-densenet121'?"),
        ({"dataset": "toy"}, "experiment: model is missing: one or more models"),
        ({"name": "a:b"}, "experiment: name = 'a:b': expected letters, digits"),
        ({"tuned": {"crl": {"study": "x", "parameters": [], "studdy": 1}}}, "unknown key 'tuned.crl.studdy'; did you"),
        ({"dataset": 3, "model": "mlp", "defense": "ce", "attacks": "nn"}, "should be a name, or a table with a name"),
        (
            {"dataset": "toy", "model": "mlp", "defense": "ce", "attacks": "nn", "schedule": {"milestones": {0: 1}}},
            "milestones need epochs of 1 or more",
        ),
    ],
)
def test_errors(source, expected):
    assert expected in message(source)


def test_no_toml(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("dataset = \n")
    assert f"{path} is not valid TOML: Invalid value (at line 1, column 11); text stands in quotes" in message(path)


def test_a_missing_file_is_no_misspelt_preset(tmp_path):
    path = tmp_path / "none.toml"
    assert message(path) == f"cannot read experiment '{path}': No such file or directory"


def test_grids_expand_lists_where_one_value_is_expected():
    plugins = discover()
    crl = plugins.get("defense", "crl").load()
    grid = list(expand(crl, {"alpha_rce": [0.5, 1.0], "tau_rce": [0.1, 0.2], "lambda_rcl": 0.3}))
    assert len(grid) == 4
    assert grid[1] == {"alpha_rce": 0.5, "tau_rce": 0.2, "lambda_rcl": 0.3}


def test_a_list_is_one_value_where_a_list_is_expected():
    mlp = discover().get("model", "mlp").load()
    assert list(expand(mlp, {"hidden": [64, 32]})) == [{"hidden": [64, 32]}]
    assert list(expand(mlp, {"hidden": [[64], [32, 16]]})) == [{"hidden": [64]}, {"hidden": [32, 16]}]


def test_the_learning_rate_of_each_epoch():
    schedule = Schedule(epochs=5, lr=0.1, milestones={2: 0.01, 4: 0.001})
    assert [schedule.lr_at(epoch) for epoch in range(1, 6)] == [0.1, 0.1, 0.01, 0.01, 0.001]


def test_schedules_equal_the_references(golden):
    """Our milestones say the same as the reference's list of changes, epoch by epoch."""
    for facts in golden("h_models_schedules").json["schedules"]["train"].values():
        (_, first), *changes = facts["lr_changes"]
        schedule = Schedule(epochs=facts["epochs"], lr=first, milestones=dict(changes))
        for epoch in range(facts["epochs"]):  # the reference counts from 0
            assert schedule.lr_at(epoch + 1) == [lr for start, lr in facts["lr_changes"] if start <= epoch][-1]


def test_a_schedule_with_some_keys_replaced():
    schedule = Schedule(epochs=5, lr=0.1, milestones={2: 0.01, 4: 0.001})
    assert schedule.replaced({}) == schedule
    assert schedule.replaced({"epochs": 9}) == Schedule(epochs=9, lr=0.1, milestones={2: 0.01, 4: 0.001})
    faster = schedule.replaced({"lr": 0.4})
    assert (faster.lr, faster.milestones) == (0.4, {2: pytest.approx(0.04), 4: pytest.approx(0.004)})
    assert schedule.replaced({"lr": 0.4, "milestones": {"3": 0.2}}) == Schedule(epochs=5, lr=0.4, milestones={3: 0.2})
    with pytest.raises(miabench.UserError) as caught:
        schedule.replaced({"epoch": 3, "lr": -1})
    assert caught.value.problems == (
        "schedule.lr = -1: Input should be greater than 0",
        "schedule has no key 'epoch'; did you mean 'epochs'? Known: batch_size, epochs, lr, milestones, momentum, "
        "weight_decay",
    )
