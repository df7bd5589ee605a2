"""The presets of the paper: its schedules, what every plugin in them takes, and what the paper does not give."""

import re
from math import log
from pathlib import Path

import pytest
from miabench.defenses._levels import lowest_center_loss, lowest_cross_entropy

from miabench.errors import UserError
from miabench.experiment.grid import expand
from miabench.experiment.load import PRESETS, load_experiment, presets
from miabench.plugins.discover import discover
from miabench.training.schedule import Schedule

UAI24 = [name for name in presets() if name.startswith("uai24/")]
CONF = {  # the file of the authors' code, in conf/train and conf/train_attack
    "table1a-vgg11": "cifar10_vgg",
    "table1a-resnet18": "cifar10_resnet",
    "table1a-densenet121": "cifar10_densenet",
    "table1b-googlenet": "cifar100_googlenet",
    "table1b-resnet18": "cifar100_resnet",
    "table1b-densenet121": "cifar100_densenet",
    "table1c-vgg11": "svhn_vgg",
    "table1c-resnet18": "svhn_resnet",
    "table2": "cifar100_resnet",
    "table3": "arxiv10_han",
    "fig1": "cifar100_resnet",
    "fig4": "cifar10_resnet",
    "fig5": "cifar100_resnet",
    "fig6": "cifar100_resnet",
    "fig7": "cifar100_resnet",
    "fig8": "arxiv10_han",
}
TABLES = [name for name in UAI24 if "table1" in name or "table3" in name]
GIVEN_BY_USERS = {"arxiv10": {"path": "arxiv10.csv"}}
# What the paper or its code fixes, or what no formula of the paper has: everything else must be named as unpublished.
KNOWN = {
    "crl": {"center_lr", "center_gradient", "floors"},
    "relaxloss": {"variant"},
    "relaxed-center-loss": {"center_lr", "center_gradient", "floors"},
    "advreg": {"inference_lr"},
    "dmp": {"kl"},
    "dmp-gan": {"kl", "gan_epochs", "part"},
    "early-stopping": {"patience", "validation_fraction"},
}


def built(experiment, kind):
    """Every plugin of a kind in an experiment, grids expanded, by name."""
    choices = getattr(experiment, "attacks" if kind == "attack" else kind)
    plugins = discover()
    found = [(choice, plugins.get(kind, choice.name)) for choice in choices]
    return [
        (choice.name, plugin.build(params))
        for choice, plugin in found
        for params in expand(plugin.load(), {**GIVEN_BY_USERS.get(choice.name, {}), **choice.params})
    ]


def rates(schedule):
    return [schedule.lr_at(epoch) for epoch in range(1, schedule.epochs + 1)]


def equals_reference(schedule, facts):
    changes = facts["lr_changes"]
    expected = [[lr for start, lr in changes if start <= epoch][-1] for epoch in range(facts["epochs"])]
    assert rates(schedule) == expected
    assert (schedule.momentum, schedule.weight_decay) == (facts["momentum"], facts["weight_decay"])


def test_all_are_there():
    assert [f"uai24/{name}" for name in sorted(CONF)] == UAI24


@pytest.mark.parametrize("name", UAI24)
def test_every_plugin_builds(name):
    experiment = load_experiment(name)
    for kind in ("dataset", "model", "defense", "attack"):
        found = built(experiment, kind)
        assert len({(label, repr(plugin)) for label, plugin in found}) == len(found)


@pytest.mark.parametrize("name", UAI24)
def test_schedules_are_the_references(name, golden):
    schedules = golden("h_models_schedules").json["schedules"]
    experiment = load_experiment(name)
    conf = CONF[name.removeprefix("uai24/")]
    equals_reference(experiment.schedule, schedules["train"][conf])
    assert experiment.schedule.batch_size == (32 if experiment.model[0].name == "densenet121" else 256)
    for attack, plugin in built(experiment, "attack"):
        if attack == "nn":
            equals_reference(plugin.schedule, schedules["train_attack"][conf])
            assert plugin.schedule.batch_size == 256


def test_the_comparison_of_schedules_can_fail(golden):
    facts = golden("h_models_schedules").json["schedules"]["train"]["cifar10_vgg"]
    right = load_experiment("uai24/table1a-vgg11").schedule
    equals_reference(right, facts)
    for change in ({"epochs": 119}, {"milestones": {50: 0.01, 81: 0.005, 100: 0.001}}, {"momentum": 0.8}):
        with pytest.raises(AssertionError):
            equals_reference(Schedule.model_validate(right.model_dump() | change), facts)


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_the_papers_defenses_and_attacks(name):
    experiment = load_experiment(name)
    assert [choice.name for choice in experiment.defense] == ["ce", "advreg", "relaxloss", "crl"]
    white_box = [] if experiment.model[0].name == "han" else ["grad-x"]
    assert [choice.name for choice in experiment.attacks] == ["nn", "entropy", "m-entropy", *white_box]
    assert (experiment.runs, experiment.shadows, experiment.seed) == (5, 5, 0)
    assert experiment.attacker.shadow_defense == "same"


@pytest.mark.parametrize("name", UAI24)
def test_unpublished_names_every_parameter_that_the_paper_does_not_give(name):
    experiment = load_experiment(name)
    plugins = discover()
    expected = {
        f"{choice.name}.{field}"
        for choice in experiment.defense
        for field in plugins.get("defense", choice.name).load().model_fields
        if field not in KNOWN.get(choice.name, ())
    }
    assert set(experiment.unpublished) == expected
    assert len(set(experiment.unpublished)) == len(experiment.unpublished)


@pytest.mark.parametrize("name", UAI24)
def test_grids_are_ours_and_marked(name):
    """Whatever a preset sets for a defense is in `unpublished`, and its line says whose it is."""
    experiment = load_experiment(name)
    for choice in experiment.defense:
        assert {f"{choice.name}.{field}" for field in choice.params} <= set(experiment.unpublished)
    text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
    defenses = text.partition("[[defense]]")[2].splitlines()
    values = [line for line in defenses if "=" in line and not line.startswith("name")]
    assert all(line.endswith("# ours") for line in values)
    assert len(values) == (0 if name == "uai24/table2" else sum(len(choice.params) for choice in experiment.defense))


def test_table_2_is_figure_7():
    assert load_experiment("uai24/table2") == load_experiment("uai24/fig7")
    assert load_experiment("uai24/table2", {"runs": 2}).runs == 2


def test_presets_are_called_as_they_are_asked_for():
    assert load_experiment("uai24/table3").name == "uai24/table3"
    assert load_experiment(None).name == "bits"


def test_same_as_is_for_presets(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('same_as = "uai24/fig7"\n')
    with pytest.raises(UserError, match="unknown key 'same_as'"):
        load_experiment(path)


def test_figures_share_the_trainings_of_tables():
    """Fig. 1, 5, 6 and 7 name dataset, model and schedule of Table 1b, so that equal cells are trained once."""
    table = load_experiment("uai24/table1b-resnet18")
    for name in ("fig1", "fig5", "fig6", "fig7"):
        figure = load_experiment(f"uai24/{name}")
        assert (figure.dataset, figure.model, figure.schedule) == (table.dataset, table.model, table.schedule)


def test_the_guide_names_every_preset_and_no_other():
    guide = (Path(__file__).parents[3] / "docs/reproduce-the-paper.md").read_text(encoding="utf-8")
    assert set(re.findall(r"uai24/[\w-]+", guide)) == set(UAI24)


def test_levels_of_the_ablation_are_ones_at_which_every_part_acts():
    """Above the floor of each loss, and below what guessing has."""
    for name, plugin in built(load_experiment("uai24/fig7"), "defense"):
        if name in ("crl", "relaxed-center-loss"):
            rcl = plugin.criterion(100, 512).rcl
            assert rcl.alpha >= 1.7 * lowest_center_loss(512, rcl.tau)
        if name != "ce":
            assert lowest_cross_entropy(100, getattr(plugin, "tau_rce", 0.0)) < plugin.alpha_rce < log(100)
