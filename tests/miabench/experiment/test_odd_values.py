"""What no parameter can be, and what would take for ever, is refused by its key before anything is planned."""

import os

import pytest

from miabench import UserError
from miabench.experiment.load import load_experiment
from miabench.plugins.discover import discover


def refusal(assignment):
    with pytest.raises(UserError) as error:
        load_experiment("uai24/table1a-vgg11", {"set": [assignment]})
    return str(error.value)


@pytest.mark.parametrize(
    ("assignment", "key"),
    [
        ("schedule.lr=inf", "schedule.lr = inf: give a finite number"),
        ("schedule.lr=1e400", "schedule.lr = inf: give a finite number"),
        ("schedule.milestones={1 = nan}", "schedule.milestones.1 = nan: give a finite number"),
        ("crl.alpha_rce=[0.5, inf]", "alpha_rce.1 = inf: give a finite number"),
        ("crl.schedule.lr=-inf", "defense.crl.schedule.lr = -inf: give a finite number"),
        ('attacks=["nn", {name = "rmia", gamma = inf}]', "attacks.rmia.gamma = inf: give a finite number"),
        ("schedule.lr=" + "9" * 400, "schedule.lr: give a number of at most 18 digits"),
        ("seed=" + "9" * 5000, "seed = "),
        ("seed=" + "[" * 3000, "seed = "),
        ("crl.alpha_rce=" + "{a=" * 30 + "1" + "}" * 30, "is nested too deeply"),
        ("runs=99999999999", "runs = 99999999999"),
        ("shadows=99999999999", "shadows = 99999999999"),
        ("threads=99999999", "threads = 99999999"),
        ("schedule.epochs=9999999999999999", "schedule.epochs = 9999999999999999"),
        ("name=" + "x" * 201, "it takes at most 200 bytes"),
    ],
)
def test_it_is_refused_by_its_key(assignment, key):
    assert key in refusal(assignment)


def test_repetitions_and_shadow_models_together_are_bounded():
    with pytest.raises(UserError, match="that is 100,100 trainings for every cell"):
        load_experiment("uai24/table1a-vgg11", {"runs": 100, "shadows": 1000})


def test_a_path_of_nobody_is_named():
    with pytest.raises(UserError, match=r"~nobody-has-this-name/e\.toml: there is no such user"):
        load_experiment("~nobody-has-this-name/e.toml")


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_what_never_ends_is_no_experiment(tmp_path, path):
    if path == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(UserError, match=f"{path} is a"):
        load_experiment(path)
    with pytest.raises(UserError, match=f"cannot read plugin file {path}: it is no regular file"):
        discover([path])
