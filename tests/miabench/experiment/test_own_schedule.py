"""Where nothing is written, networks are trained on their dataset's own schedule."""

import tomllib

import pytest

from miabench.experiment.load import PRESETS, load_experiment
from miabench.experiment.scaling import scaled
from miabench.jobs.configured import configure
from miabench.plugins.discover import discover
from miabench.training.schedule import Schedule

OTHER = {"model": "mlp", "defense": "ce", "attacks": "entropy"}
DIGITS, SVHN = (discover().get("dataset", name).load().schedule for name in ("digits", "svhn"))


def test_a_dict_without_a_schedule():
    assert load_experiment({"dataset": "svhn", **OTHER}).schedule == SVHN
    assert Schedule() != SVHN


def test_what_is_written_stays():
    written = load_experiment({"dataset": "svhn", **OTHER, "schedule": {"epochs": 3}}).schedule
    assert written == Schedule(epochs=3)
    assert load_experiment(load_experiment("bits"), {"dataset": "svhn"}).schedule == load_experiment("bits").schedule


def test_another_dataset_drops_the_schedule_of_the_default_preset_and_of_no_other():
    assert load_experiment(None, {"dataset": ["svhn"]}).schedule == SVHN
    assert load_experiment(None, {"set": ["dataset=svhn"]}).schedule == SVHN
    assert load_experiment("bits", {"dataset": ["svhn"]}).schedule == load_experiment("bits").schedule


def test_the_preset_and_the_words_for_its_dataset_are_one_experiment():
    assert load_experiment(None, {"dataset": ["bits"]}) == load_experiment(None) == load_experiment("bits")
    preset = tomllib.loads((PRESETS / "bits.toml").read_text())
    del preset["schedule"]
    assert load_experiment({"name": "bits", **preset}) == load_experiment("bits")


@pytest.mark.parametrize("options", [{"epochs": 3}, {"set": ["schedule.epochs=3"]}, {"set": {"schedule.epochs": 3}}])
def test_options_replace_keys_of_the_datasets_schedule(options):
    expected = SVHN.model_copy(update={"epochs": 3})
    assert load_experiment({"dataset": "svhn", **OTHER}, options).schedule == expected
    assert load_experiment(None, {"dataset": "svhn", **options}).schedule == expected


def test_every_dataset_has_its_own():
    experiment = load_experiment(
        {"dataset": ["digits", "svhn"], **OTHER, "defense": {"name": "ce", "schedule": {"lr": 1}}}
    )
    digits, svhn = (dataset.schedule for dataset in configure(experiment).datasets)
    assert (digits, svhn) == (DIGITS, SVHN)
    (defense,) = configure(experiment).defenses
    assert defense.under(svhn).schedule == SVHN.replaced({"lr": 1})
    assert [dataset.label for dataset in configure(experiment).datasets] == ["digits", "svhn"]


def test_equal_schedules_stand_once():
    experiment = load_experiment({"dataset": ["svhn", "fashion-mnist"], **OTHER})
    assert experiment.schedule == SVHN
    assert [choice.schedule for choice in experiment.dataset] == [{}, {}]


def test_a_scaled_experiment_shortens_each():
    experiment = scaled(load_experiment({"dataset": ["digits", "svhn"], **OTHER}), 0.25)
    assert [dataset.schedule.epochs for dataset in configure(experiment).datasets] == [20, 20]
    cifar = scaled(load_experiment({"dataset": ["digits", "cifar10"], **OTHER}), 0.25)
    assert [dataset.schedule.epochs for dataset in configure(cifar).datasets] == [20, 50]
    assert configure(cifar).datasets[1].schedule.milestones == {25: 0.0005, 40: 0.00005}  # batches a quarter as large


def test_a_plugin_files_dataset_says_its_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from typing import ClassVar\nfrom miabench import Dataset, Schedule\n"
        "class Mine(Dataset, frozen=True):\n    schedule: ClassVar[Schedule] = Schedule(epochs=7)\n"
    )
    assert load_experiment({"dataset": "mine", **OTHER, "plugins": [str(file)]}).schedule.epochs == 7


def test_a_dataset_that_is_not_there_is_left_to_planning():
    assert load_experiment({"dataset": "digit", **OTHER}).schedule == Schedule()


@pytest.mark.parametrize("found", discover().all("dataset"), ids=lambda found: found.name)
def test_learning_rates_of_built_in_datasets_fall_within_their_epochs(found):
    schedule = found.load().schedule
    assert schedule.milestones
    assert max(schedule.milestones) < schedule.epochs
