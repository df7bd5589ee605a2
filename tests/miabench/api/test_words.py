"""Functions and commands have the same words, and give the same numbers for them."""

import inspect
import json
from typing import Annotated

import numpy as np
import pytest
import typer

import miabench
from miabench.api.options import Option, RunOptions, fields, option, parameters
from miabench.cli import commands, options
from miabench.experiment.model import Experiment

COMMANDS = vars(typer.main.get_command(commands.app))["commands"]
ON_AN_EXPERIMENT = ("train", "attack", "run", "report", "tune", "gate", "status")
FUNCTIONS = (*ON_AN_EXPERIMENT, "audit", "list_plugins", "new", "compare", "recommend", "estimate")


def words(command, hidden=False):
    return {one.name for one in COMMANDS[command].params if one.param_type_name == "option" and one.hidden is hidden}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_command_is_a_documented_function_that_tab_completion_shows(name):
    assert name in dir(miabench)
    assert "import_module" not in dir(miabench)
    function = getattr(miabench, name)
    assert "Args:" in function.__doc__
    assert "Returns:" in function.__doc__
    assert "Raises:" in function.__doc__
    signature = inspect.signature(function)
    assert not [one for one in signature.parameters.values() if one.kind is one.VAR_KEYWORD]
    assert all(f"    {word}: " in function.__doc__ for word in signature.parameters)
    assert all(one.annotation is not one.empty for one in signature.parameters.values())


@pytest.mark.parametrize("name", [*ON_AN_EXPERIMENT, "audit"])
def test_every_option_that_is_declared_is_on_the_command_line(name):
    takes = inspect.signature(getattr(miabench, name)).parameters
    declared = {word for word, one in takes.items() if option(one.annotation)}
    assert declared <= words(name)
    listed = {word for word in words(name) if word in fields(RunOptions)}
    assert listed <= declared, "an option that cannot matter is not listed"
    if name in ON_AN_EXPERIMENT:
        assert words(name) | words(name, hidden=True) >= {
            word for word, hint in fields(RunOptions).items() if option(hint)
        }


def test_a_new_declaration_is_all_that_an_option_needs(monkeypatch, capsys):
    def polish(colour="red", *, shine=0.5, **given):
        """Polish."""

    heard = []
    monkeypatch.setattr(options, "STEPS", {})
    polish.__signature__ = inspect.Signature(
        [
            inspect.Parameter("shine", inspect.Parameter.KEYWORD_ONLY, default=0.5,
                              annotation=Annotated[float, Option("how bright", "SHARE", float)]),
            inspect.Parameter("colours", inspect.Parameter.KEYWORD_ONLY, default=(),
                              annotation=Annotated[list, Option("which", "NAME", list[str])]),
        ]
    )  # fmt: skip
    app = typer.Typer()
    app.callback()(lambda: None)

    @options.command(app, polish)
    def polish_(given):
        heard.append(given)

    assert [one.name for one in parameters(polish)] == ["shine", "colours"]
    for line in ([], ["--shine", "0"], ["--colours", "red", "--colours", "blue"]):
        with pytest.raises(SystemExit):
            app(["polish-", *line])
    assert heard == [{}, {"shine": 0.0}, {"colours": ["red", "blue"]}]
    with pytest.raises(SystemExit):
        app(["polish-", "--help"])
    assert "how bright (default 0.5)" in capsys.readouterr().out


def test_what_replaces_keys_replaces_keys_that_there_are():
    from miabench.api.experiments import overrides
    from miabench.api.options import ExperimentOptions

    every = overrides(dict.fromkeys(fields(ExperimentOptions), 1))
    assert every.keys() - Experiment.model_fields.keys() == {"epochs", "set"}


def test_a_word_that_is_none_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'defence'"):
        miabench.run(defence="ce")


SMALL = {"protocol": "disjoint", "model": "mlp", "defense": ["ce", "relaxloss"], "attack": "entropy", "runs": 1,
         "shadows": 1, "epochs": 2, "set": {"digits.records": 80}, "executor": "inline"}  # fmt: skip


def test_the_command_line_and_python_give_the_same_numbers_for_the_same_words(tmp_path, run_command):
    line = ["--dataset", "digits", "--model", "mlp", "--defense", "ce", "--defense", "relaxloss", "--attack", "entropy",
            "--protocol", "disjoint", "--runs", "1", "--shadows", "1", "--epochs", "2",
            "--set", "digits.records=80"]  # fmt: skip
    store = str(tmp_path / "cli")
    assert run_command("run", *line, "--store", store, "--executor", "inline")[0] == 0
    _, out, _ = run_command("report", *line, "--store", store, "--format", "json")
    table = miabench.run(dataset="digits", **SMALL, store=tmp_path / "python")
    written = [row for row in json.loads(out)["rows"] if row["class"] is None]
    assert [row["value"] for row in written] == [None if v != v else v for v in table.value]
    assert [row["key"] for row in written] == list(table.key)
    as_dict = {"dataset": {"name": "digits", "records": 80}, "model": "mlp", "defense": ["ce", "relaxloss"],
               "attacks": "entropy", "runs": 1, "shadows": 1}  # fmt: skip
    from_dict = miabench.run(as_dict, epochs=2, store=tmp_path / "cli", executor="inline")
    assert list(from_dict.key) == list(table.key), "one schedule, the dataset's"


def test_every_function_works_twice_in_one_process(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store, inline = tmp_path / "store", {"executor": "inline"}
    two = tiny(defense=["ce", "relaxloss"])
    for number in range(2):
        assert miabench.estimate(two, store=store, **inline).possible == 2
        assert miabench.train(two, store=store, **inline).done == (0 if number else 6)
        assert not miabench.attack(two, store=store, **inline).failed
        table = miabench.run(two, store=store, **inline)
        made = miabench.report(two, store=store, metric="balanced-accuracy", columns="margin")
        assert "balanced accuracy" in str(made)
        assert made.table.equals(table)
        assert "**toy, mlp" in made.text("markdown")
        (advice,) = miabench.recommend(two, store=store, budget=100)
        assert str(advice).startswith("toy, mlp hidden=[16], adaptive attacker: of what costs at most 100 points")
        assert all(finding.passes for finding in miabench.gate(two, store=store, max={"auc": 1}))
        assert miabench.status(two, store=store).counts["train"]["done"] == 6
        with pytest.raises(miabench.UserError, match="nothing here is in the paper's Tables 1 and 3"):
            miabench.compare(two, store=store)
        assert "crl" in [one["name"] for one in miabench.list_plugins("defenses")]
        assert miabench.new("attack", f"mine-{number}") == (tmp_path / f"mine_{number}.py").relative_to(tmp_path)


def test_an_audit_from_python_and_the_command_line_twice(tmp_path, run_command):
    rng = np.random.default_rng(0)
    names = ("members", "others", "shadow-members", "shadow-others")
    for name, shift in zip(names, (2.0, 0.0, 2.0, 0.0), strict=True):
        y = np.arange(90) % 3
        np.savez(tmp_path / f"{name}.npz", logits=rng.normal(size=(90, 3)) + shift * np.eye(3)[y], labels=y)
    files = [str(tmp_path / f"{name}.npz") for name in names]
    for _ in range(2):
        found = miabench.audit(*files[:2], shadow_members=files[2], shadow_nonmembers=files[3:])
        assert found.shadows == 1
        line = ["--members", files[0], "--nonmembers", files[1], "--shadow-members", files[2],
                "--shadow-nonmembers", files[3], "--format", "csv"]  # fmt: skip
        code, out, _ = run_command("audit", *line)
        assert code == 0
        assert out == found.table.to_csv(index=False, lineterminator="\n")


def test_an_experiments_own_words_are_understood(tmp_path, tiny):
    by_key = {key: value for key, value in tiny().items() if key in ("attacks", "plugins")}
    by_word = {"attack": by_key["attacks"], "plugin": by_key["plugins"]}
    rest = {key: value for key, value in tiny().items() if key not in by_key}
    tables = [
        miabench.run({**rest, "attacks": "entropy"}, **words, store=tmp_path, executor="inline")
        for words in (by_key, by_word)
    ]
    assert list(tables[0].key) == list(tables[1].key)
    assert set(tables[0].attack.dropna()) == {"margin"}
