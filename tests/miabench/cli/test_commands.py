"""The command line as a user meets it."""

import json
import re
import shlex
from typing import get_args

import pytest

import miabench
from miabench.cli.commands import Kind
from miabench.cli.listing import ListedKind
from miabench.experiment.load import presets
from miabench.plugins.suites import SUITES
from miabench.store.store import Store


@pytest.fixture
def command(tmp_path, tiny, monkeypatch, run_command):
    """Run `miabench ...` on the small experiment in this process; gives status, standard output and error."""
    monkeypatch.chdir(tmp_path)
    experiment = tiny()
    lines = [f"{key} = {json.dumps(value)}" for key, value in experiment.items() if key not in ("schedule", "model")]
    (tmp_path / "tiny.toml").write_text(
        "\n".join([*lines, 'model = {name = "mlp", hidden = [16]}', "[schedule]", "epochs = 3", "batch_size = 16"])
    )

    return run_command


def test_the_three_steps(command):
    code, out, err = command("train", "tiny.toml", "--executor", "inline")
    assert (code, out) == (0, "")
    assert "[3/3] train toy mlp hidden=[16] ce run 0 shadow-1" in err
    assert err.endswith("next: miabench attack tiny.toml --executor inline\n")
    code, _, err = command("attack", "tiny.toml", "--executor", "inline")
    assert code == 0
    assert err.endswith("next: miabench report tiny.toml\n")
    code, out, err = command("report", "tiny.toml")
    assert code == 0
    assert "margin" in out
    assert err == "files and plots: miabench report tiny.toml --out FOLDER\n"


def test_a_report_says_how_to_get_files_of_what_it_shows(command, tmp_path):
    store = tmp_path / "my store"
    code, out, err = command("run", "tiny.toml", "--executor", "inline", "--store", str(store))
    assert code == 0
    assert "margin" in out
    said = f"files and plots: miabench report tiny.toml --store '{store}' --out FOLDER"
    assert err.splitlines()[-1] == said
    shown = ["--metric", "balanced-accuracy", "--columns", "margin", "--columns", "m*", "--sort", "worst"]
    _, out, err = command("report", "tiny.toml", "--store", str(store), "--within", "2.5", *shown)
    assert "balanced accuracy (per-class thresholds)" in out
    assert "margin ↓" not in out
    assert "margin ↓" in command("report", "tiny.toml", "--store", str(store), "--details")[1]
    (line,) = err.splitlines()
    *words, option, folder = shlex.split(line.removeprefix("files and plots: "))
    assert words == ["miabench", "report", "tiny.toml", "--store", str(store), "--within", "2.5", *shown]
    assert not (store / "reports").exists()
    code, _, err = command(*words[1:], option, folder)
    assert code == 0
    assert "files and plots" not in err
    assert "balanced accuracy (per-class thresholds)" in (tmp_path / "FOLDER" / "results.md").read_text()
    assert (tmp_path / "FOLDER" / "plots" / "trade-off.pdf").exists()


def test_status(command):
    assert "train    0 done, 0 running, 0 failed, 3 missing" in command("status", "tiny.toml")[1]
    command("train", "tiny.toml", "--executor", "inline")
    assert "train    3 done, 0 running, 0 failed, 0 missing" in command("status", "tiny.toml")[1]


def test_machine_readable_output_is_alone_on_standard_output(command):
    command("run", "tiny.toml", "--executor", "inline")
    code, out, _ = command("report", "tiny.toml", "--format", "json")
    assert code == 0
    assert {"experiment", "rows"} <= set(json.loads(out))
    code, out, _ = command("report", "tiny.toml", "--format", "csv")
    assert out.splitlines()[0].startswith("dataset,model,defense,params,run,attacker,attack,metric,value,low,high")


def test_reporting_what_was_never_run(command, tmp_path):
    code, out, err = command("report", "tiny.toml")
    assert (code, out) == (2, "")
    said = f"there is no store {tmp_path}/miabench-store; choose another with --store, or: miabench run tiny.toml"
    assert err == f"error: {said}\n"
    assert not (tmp_path / "miabench-store").exists()
    Store(tmp_path / "miabench-store")
    code, out, err = command("report", "tiny.toml")
    assert (code, out) == (2, "")
    said = "has no results of experiment 'tiny' with these settings; make them with: miabench run tiny.toml"
    assert said in err


LOOKING = ["status tiny.toml", "report tiny.toml", "store ls", "store du", "store verify", "store gc", "store export x"]


@pytest.mark.parametrize("line", [*LOOKING, "store gc --remove", "run tiny.toml"])
def test_a_folder_of_other_things_is_no_store_and_becomes_none(command, tmp_path, line):
    (tmp_path / "mine" / "experiments").mkdir(parents=True)
    for number in range(6):
        (tmp_path / "mine" / f"{number}.txt").touch()
    before = sorted((tmp_path / "mine").rglob("*"))
    code, out, err = command(*line.split(), "--store", "mine")
    assert (code, out) == (2, "")
    said = f"no store is in {tmp_path}/mine: it holds 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 1 more; choose a store, "
    assert said in err
    assert sorted((tmp_path / "mine").rglob("*")) == before


@pytest.mark.parametrize("line", LOOKING)
def test_an_empty_folder_is_no_store_yet(command, tmp_path, line):
    (tmp_path / "new" / ".hidden").mkdir(parents=True)
    code, out, err = command(*line.split(), "--store", "new")
    assert (code, out) == (2, "")
    assert f"error: no store is in {tmp_path}/new: it is empty; choose another with --store, or: miabench run" in err
    assert command("train", "tiny.toml", "--executor", "inline", "--store", "new")[0] == 0
    assert command("status", "tiny.toml", "--store", "new")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "tinny.toml"], "error: cannot read experiment 'tinny.toml'"),
        (
            ["run", "tiny.toml", "--defense", "rleaxloss"],
            "error: there is no defense 'rleaxloss'; did you mean 'relaxloss'?",
        ),
        (["run", "tiny.toml", "--set", "mlp.hiden=3"], "has no parameter 'hiden'; did you mean 'hidden'?"),
        (["run", "tiny.toml", "--workers", "none"], "error: --workers 'none': give a number of 1 or more, or auto"),
        (["run", "tiny.toml", "--runs", "0"], "runs = 0: Input should be greater than or equal to 1"),
        (["train", "--dataset", "images"], "error: dataset images needs path"),
        (["list", "defenses", "cr"], "error: there is no defense 'cr'"),
        (["list", "presets", "bit"], "error: there is no preset 'bit'; did you mean 'bits'?"),
    ],
)
def test_a_users_mistakes(command, arguments, expected):
    code, out, err = command(*arguments)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err + out


def test_a_report_that_cannot_be_written(command, tmp_path):
    command("run", "tiny.toml", "--executor", "inline")
    (tmp_path / "taken").write_text("")
    code, _, err = command("report", "tiny.toml", "--out", "taken")
    assert (code, err) == (
        2,
        "error: cannot write the report to taken: File exists; choose another folder with --out\n",
    )


def test_help_is_whole_and_says_what_to_give(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = command("--help")
    assert "..." not in out.partition("Commands:")[2]
    for name in ("run", "report", "gate", "audit"):
        _, out, _ = command(name, "--help")
        assert out.startswith(f"Usage: miabench {name} [OPTIONS]")
        assert "list[" not in out


def test_version(command):
    assert command("--version") == (0, f"miabench {miabench.__version__}\n", "")


def test_failed_jobs_end_with_status_1(command, tmp_path):
    (tmp_path / "broken.py").write_text(
        "from miabench import Defense\nclass Broken(Defense, frozen=True):\n    def fit(self, task):\n        1 / 0\n"
    )
    code, out, err = command("run", "tiny.toml", "--defense", "ce", "--defense", "broken", "--plugin", "broken.py",
                             "--executor", "inline")  # fmt: skip
    assert code == 1
    assert f"ZeroDivisionError: division by zero ({tmp_path}/broken.py, line 4)" in err
    assert "Traceback" not in err + out
    assert "margin" in out


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("Dataset", "def load(self, root):\n        open('/no/such')", "FileNotFoundError: [Errno 2] No such file or"),
        (
            "Defense",
            "def withhold(self):\n        return 1 / 0\n    def loss(self, *batch): ...",
            "ZeroDivisionError: div",
        ),
        ("Attack", "def probes(self):\n        return 1 / 0", "ZeroDivisionError: division by zero"),
        ("Model", "def unsupported(self, domain):\n        return 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_file_that_raises_while_planning(command, tmp_path, kind, body, expected):
    file = tmp_path / "broken.py"
    file.write_text(f"from miabench import {kind}\nclass Broken({kind}, frozen=True):\n    {body}\n")
    code, out, err = command("run", "tiny.toml", f"--{kind.lower()}", "broken", "--plugin", "broken.py")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {expected}")
    assert err.endswith(f"({file}, line 4)\n")


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("Attack", "pass", "NotImplementedError: Broken does not override score"),
        (
            "Attack",
            "def score(self, target, state): return [1, 2]",
            "must be 80 finite float64 numbers, one per record",
        ),
        (
            "Defense",
            "def fit(self, task):\n        import torch\n        torch.nn.functional.nll_loss(1, 2)",
            "broken.py, line 5)",
        ),
    ],
)
def test_a_plugin_file_that_raises_in_a_job(command, tmp_path, kind, body, expected):
    (tmp_path / "broken.py").write_text(
        f"from miabench import {kind}\nclass Broken({kind}, frozen=True):\n    {body}\n"
    )
    options = ("--plugin", "broken.py", "--executor", "inline")
    code, _, err = command("run", "tiny.toml", f"--{kind.lower()}", "broken", *options)
    assert code == 1
    assert expected in err
    assert "Traceback" not in err


def test_list(command):
    code, out, _ = command("list", "defenses")
    assert code == 0
    assert "crl" in out
    assert "built-in" in out
    _, out, _ = command("list", "defenses", "crl")
    assert "alpha_rce (float | None, default None, ≥ 0, tuned from 0.05 to 3, log)" in out
    assert "tuned from 1 to the schedule's epochs, log" in command("list", "defenses", "early-stopping")[1]
    assert "Fang and Kim, UAI 2024" in out
    about = json.loads(command("list", "defenses", "crl", "--json")[1])
    assert about["name"] == "crl"
    assert {
        "name": "alpha_rce",
        "type": "float | None",
        "default": None,
        "required": False,
        "bounds": "≥ 0",
    }.items() <= about["parameters"][0].items()
    assert "set one with --set crl.alpha_rce=VALUE" in command("list", "defenses", "crl")[1]
    lines = command("list", "presets")[1].splitlines()
    assert [line.split()[0] for line in lines] == presets()
    assert "vgg11 on cifar10, 120 epochs, 5 runs: ce, advreg, relaxloss, crl" in "\n".join(lines)
    assert json.loads(command("list", "presets", "--json")[1]) == presets()
    assert 'dataset = "bits"' in command("list", "presets", "bits")[1]


def test_every_kind_that_python_lists_is_listed_by_the_command():
    assert {kind.value for kind in Kind} == set(get_args(ListedKind))


def test_a_suite_is_listed_with_its_attacks(command):
    code, out, _ = command("list", "suites")
    assert code == 0
    assert set(SUITES) <= set(re.split(r"[\s,:]+", out))
    assert "grad-w" in command("list", "suites", "white-box@1")[1]


def test_list_shows_first_what_must_be_given_and_last_what_all_have(command):
    about = json.loads(command("list", "datasets", "images", "--json")[1])
    assert [parameter["name"] for parameter in about["parameters"]] == [
        "path", "size", "augment", "deduplicate", "records"
    ]  # fmt: skip
    out = command("list", "datasets", "images")[1]
    assert "path (path, required)" in out
    assert "augment ('none' | 'crop-flip', default \"none\")" in out
    assert "size (int | None, default None, ≥ 1)" in out


@pytest.mark.parametrize("kind", ["defenses", "attacks", "datasets", "models"])
def test_every_plugin_is_described(command, kind):
    for item in json.loads(command("list", kind, "--json")[1]):
        assert item["about"]
        assert all(parameter["meaning"] for parameter in item["parameters"]), item["name"]
        assert command("list", kind, item["name"])[0] == 0


def test_a_dry_run_says_why_cells_are_not_applicable(command, tmp_path):
    (tmp_path / "never.py").write_text(
        "from miabench import Defense\nclass Never(Defense, frozen=True):\n"
        "    def unsupported(self, data, model):\n        return 'it needs a moon'\n"
        "    def loss(self, logits, features, targets, epoch):\n        return logits.sum()\n"
    )
    options = ("--plugin", "never.py", "--defense", "never", "--executor", "inline")
    code, out, err = command("run", "tiny.toml", "--defense", "ce", *options, "--dry-run")
    assert (code, err) == (0, "")
    assert "1 to run, 1 n/a" in out
    assert "n/a: never on toy mlp hidden=[16]: it needs a moon" in out
    code, out, _ = command("run", "tiny.toml", *options)
    assert code == 1, "nothing at all was measured"


def test_a_command_line_needs_only_its_verb_changed(command):
    line = ("tiny.toml", "--epochs", "2", "--workers", "1", "--executor", "inline")
    assert command("run", *line)[0] == 0
    for verb in ("report", "status"):
        assert command(verb, *line)[0] == 0
    assert command("gate", *line, "--max", "auc=1")[0] == 0
    assert "--workers" not in command("gate", "--help")[1]
