"""An attack that stands once in an experiment is called by its name; its settings stand in a note."""

from miabench.experiment.load import load_experiment
from miabench.jobs.configured import configure
from miabench.jobs.plan import Paths, make_plan


def labels(tiny, attacks):
    return [attack.label for attack in configure(load_experiment(tiny(attacks=attacks))).attacks]


def test_an_attack_that_stands_once_is_called_by_its_name(tiny):
    assert labels(tiny, [{"name": "nn", "schedule": {"lr": 0.01}}, {"name": "grad-x", "norm": "l1"}]) == [
        "nn",
        "grad-x",
    ]


def test_settings_of_one_attack_are_told_apart(tiny):
    attacks = ["grad-x", {"name": "grad-x", "norm": "l1"}, {"name": "nn", "schedule": {"lr": 0.01}}]
    assert labels(tiny, attacks) == ["grad-x", "grad-x norm=l1", "nn"]


def test_what_a_name_leaves_out_is_a_note(tiny, tmp_path):
    experiment = load_experiment(tiny(attacks=[{"name": "grad-x", "norm": "l1"}, "entropy"]))
    plan = make_plan(experiment, Paths(tmp_path))
    assert [note for note in plan.index.notes if note.startswith("attack ")] == ["attack grad-x: norm=l1"]
