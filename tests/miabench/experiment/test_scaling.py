"""What --scale makes smaller, by how much, and that the result says so."""

import json

import pytest

from miabench.errors import UserError
from miabench.experiment.load import load_experiment
from miabench.experiment.model import Experiment
from miabench.experiment.remarks import remarks
from miabench.experiment.scaling import scaled
from miabench.jobs.plan import Paths, make_plan
from miabench.plugins.dataset import Dataset
from miabench.store.hashed import hashed

QUARTER = "protocol disjoint: each model is trained on about a quarter of the pool (protocol pool: half)"


def test_a_preset_in_small():
    full = load_experiment("uai24/table1b-resnet18")
    small = scaled(full, 0.09)  # sqrt: 0.3
    assert small.dataset[0].params == {"records": 0.09}
    assert (small.schedule.epochs, small.schedule.milestones) == (30, {1: 0.1, 15: 0.01, 24: 0.001})
    assert (small.runs, small.shadows, small.scale) == (2, 5, 0.09)
    assert small.name == "uai24/table1b-resnet18@0.09"
    same = {"name", "dataset", "schedule", "runs", "scale"}
    assert small.model_dump(exclude=same) == full.model_dump(exclude=same)
    assert small.schedule.model_dump(exclude={"epochs", "milestones"}) == full.schedule.model_dump(
        exclude={"epochs", "milestones"}
    )


def test_no_fewer_than_ten_epochs_and_one_run():
    small = scaled(load_experiment("uai24/table1b-resnet18"), 0.0001)
    assert (small.schedule.epochs, small.runs) == (10, 1)
    assert small.schedule.milestones == {1: 0.1, 5: 0.01, 8: 0.001}


def test_an_experiment_of_fewer_epochs_keeps_them(tiny):
    schedule = load_experiment(tiny(schedule={"epochs": 7, "milestones": {3: 0.1, 6: 0.01}})).schedule
    assert scaled(load_experiment(tiny(schedule=schedule)), 0.01).schedule == schedule


def test_of_milestones_that_fall_together_the_last_counts(tiny):
    schedule = {"epochs": 1000, "lr": 0.1, "milestones": {10: 0.05, 20: 0.02, 990: 0.01}}
    small = scaled(load_experiment(tiny(schedule=schedule)), 0.0001).schedule
    assert small.milestones == {1: 0.02, 10: 0.01}
    assert [small.lr_at(epoch) for epoch in (1, 2, 10)] == [0.1, 0.02, 0.02]


def test_epochs_that_a_defense_counts_go_along(tiny):
    stops = {"name": "early-stopping", "stop_epoch": [1, 2, 50, 100]}
    one = {"name": "early_stopping", "stop_epoch": 30}
    patient = [{"name": "early-stopping", "patience": patience} for patience in (20, [2, 40])]
    gans = ["dmp-gan", {"name": "dmp-gan", "gan_epochs": [5, 50]}]
    defenses = [stops, one, "early-stopping", *patient, *gans, "crl"]
    experiment = load_experiment(tiny(schedule={"epochs": 100}, defense=defenses))
    found = [(choice.name, choice.params) for choice in scaled(experiment, 0.01).defense]
    assert found == [
        ("early-stopping", {"stop_epoch": [1, 5, 10]}),  # 1 and 2 fall together
        ("early-stopping", {"stop_epoch": 3}),
        ("early-stopping", {"stop_epoch": 1}),  # the default, 10, would be all of the shorter schedule
        ("early-stopping", {"patience": 2}),  # which takes the stop epoch's place
        ("early-stopping", {"patience": [1, 4]}),
        ("dmp-gan", {"gan_epochs": 20}),
        ("dmp-gan", {"gan_epochs": [1, 5]}),  # no fewer than one
        ("crl", {}),
    ]


@pytest.mark.parametrize(
    ("records", "expected"), [(None, 0.25), (100, 25), (0.5, 0.125), ([100, 0.5, None], [25, 0.125, 0.25])]
)
def test_records_that_the_experiment_sets(tiny, records, expected):
    experiment = load_experiment(tiny(dataset={"name": "toy", "records": records}))
    assert scaled(experiment, 0.25).dataset[0].params == {"records": expected}


def test_schedules_that_defenses_have_of_their_own(tiny):
    own = {"name": "ce", "schedule": {"lr": 0.2, "epochs": [40, 80], "milestones": {"20": 0.1}}}
    experiment = load_experiment(tiny(defense=[own], schedule={"epochs": 100}))
    assert scaled(experiment, 0.25).defense[0].schedule == {"lr": 0.2, "epochs": [20, 40], "milestones": {10: 0.1}}


def test_what_the_user_chose_stays():
    full = load_experiment("uai24/fig4")
    small = scaled(full, 0.04, keep={"runs", "epochs", "dataset"})
    assert (small.runs, small.schedule, small.defense) == (5, full.schedule, full.defense)
    assert small.dataset[0].params == {"records": 0.04}


def test_scaled_twice():
    small = scaled(scaled(load_experiment("uai24/table3"), 0.5), 0.5)
    assert (small.scale, small.dataset[0].params["records"]) == (0.25, 0.25)


def test_all_of_it_is_the_experiment_itself():
    full = load_experiment("bits")
    assert scaled(full, 1) is full


@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan"), float("inf")])
def test_what_is_no_share(share):
    with pytest.raises(
        UserError, match=r"^--scale .*: give a share of the pool above 0 and at most 1, for example 0.1$"
    ):
        scaled(load_experiment("bits"), share)


def test_it_survives_being_written():
    small = scaled(load_experiment("uai24/fig5"), 0.09)
    assert load_experiment(json.loads(small.model_dump_json())) == small == load_experiment(small)


def test_results_say_so(tiny, tmp_path):
    """In words in the index, and in every row by the name of the dataset."""
    full = load_experiment(tiny(runs=4, schedule={"epochs": 100, "batch_size": 16}))
    small = scaled(full, 0.25)
    assert remarks(full) == [QUARTER]
    said, share = remarks(small)
    assert share == QUARTER
    assert said == (
        "a scaled experiment (--scale 0.25): that share of the pool, 50 epochs, runs: 2; "
        "its numbers are not those of the full experiment"
    )
    plan = make_plan(small, Paths(tmp_path / "store"))
    assert {cell.dataset for cell in plan.index.cells} == {"toy records=0.25"}
    assert plan.index.cells[0].counts == {"members": 10, "non-members": 10}  # of 160 records
    (training,) = {job.spec.schedule.epochs for job in plan.jobs.values() if job.kind == "train"}
    assert training == 50


def test_the_mark_is_not_to_be_set_by_hand(tiny):
    with pytest.raises(UserError) as caught:
        load_experiment(tiny(scale=0.5))
    assert caught.value.problems == (
        "experiment: scale = 0.5: it marks what --scale made smaller, but toy is whole; use --scale instead",
    )


def test_unscaled_experiments_are_filed_as_before(tiny):
    """The two marks are not part of what an experiment is filed under unless they say something."""
    experiment = load_experiment(tiny())
    assert not {"scale", "unpublished"} & set(hashed(experiment))
    marked = Experiment.model_validate(tiny(unpublished=["ce.x"], dataset={"name": "toy", "records": 0.5}, scale=0.5))
    assert {"scale", "unpublished"} < set(hashed(marked))


def test_unpublished_values_of_defenses_that_take_part():
    experiment = load_experiment("uai24/fig1", {"defense": ["ce", "relaxloss"]})
    assert remarks(experiment) == [
        QUARTER,
        "not published with the paper, so the values are ours: dataset, model, relaxloss.alpha, relaxloss.upper",
    ]


@pytest.mark.parametrize("records", [0, 1, 7, -1, 8.5, 1.0, float("nan"), float("inf")])
def test_records_are_a_count_or_a_share(records):
    with pytest.raises(ValueError, match="should be a whole number of 8 or more, or a share of the pool above 0 and"):
        Dataset(records=records)


@pytest.mark.parametrize(
    ("records", "taken"), [(8, "8"), (9.0, "9"), (0.001, "0.001"), (0.999, "0.999"), (None, "None")]
)
def test_records_that_are_taken(records, taken):
    assert str(Dataset(records=records).records) == taken
