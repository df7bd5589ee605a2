"""What answers without torch: lists, reports, gates, and whatever is wrong with names, files and keys."""

import subprocess
import sys

import pytest

import miabench

HEAVY = {"torch", "torchvision", "sklearn", "matplotlib", "pandas", "scipy"}


def loaded(*arguments, cwd):
    """Exit status, standard error, and which heavy packages a command imported."""
    code = (
        "import sys\nfrom miabench.cli import commands\n"
        f"sys.argv = ['miabench', *{list(arguments)!r}]\nstatus = 0\n"
        "try:\n    commands.main()\nexcept SystemExit as end:\n    status = end.code\n"
        f"print(status or 0, *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=cwd)
    *said, last = done.stderr.splitlines()
    status, *heavy = last.split()
    return int(status), "\n".join(said), set(heavy)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "--defense", "rleaxloss"], "there is no defense 'rleaxloss'; did you mean 'relaxloss'?"),
        (["run", "tinny.toml"], "cannot read experiment 'tinny.toml'"),
        (["run", "--set", "crl.alpha=1"], "defense crl has no parameter 'alpha'; did you mean 'alpha_rce'?"),
        (["train", "--set", "crl.alpha_rce=-1"], "alpha_rce = -1: Input should be greater than or equal to 0"),
        (["run", "--protocol", "disjoint", "--runs", "0"], "runs = 0: Input should be greater than or equal to 1"),
        (["run", "--workers", "none"], "--workers 'none': give a number of 1 or more, or auto"),
        (["run", "--plugin", "mine.py"], "cannot read plugin file"),
        (["train", "--dataset", "images"], "dataset images needs path"),
        (["tune", "--budget", "5", "--model", "mlpp"], "there is no model 'mlpp'; did you mean 'mlp'?"),
        (["status", "--attack", "entropi"], "there is no attack 'entropi'; did you mean 'entropy'?"),
        (["report"], "there is no store"),
        (["gate", "--max", "auc=1"], "there is no store"),
    ],
)
def test_a_mistake_is_told_without_torch(tmp_path, arguments, problem):
    status, said, heavy = loaded(*arguments, cwd=tmp_path)
    assert status == 2
    assert problem in said
    assert "torch" not in heavy


@pytest.mark.parametrize("arguments", [["list", "defenses"], ["list", "datasets", "images"], ["list", "presets"]])
def test_lists_import_nothing_heavy(tmp_path, arguments):
    assert loaded(*arguments, cwd=tmp_path) == (0, "", set())


@pytest.mark.parametrize("command", [["report"], ["gate", "--max", "auc=1"], ["status"]])
def test_looking_at_results_imports_no_torch(tmp_path, command):
    words = {"protocol": "disjoint", "dataset": "digits", "model": "mlp", "defense": "ce", "attack": "entropy"}
    words |= {"runs": 1, "shadows": 1}
    line = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    miabench.run(**words, epochs=1, store=tmp_path / "miabench-store", executor="inline")
    status, _, heavy = loaded(*command, *line, "--epochs", "1", cwd=tmp_path)
    assert status == 0
    assert not heavy & {"torch", "sklearn", "matplotlib"}
