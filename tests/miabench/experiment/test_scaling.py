"""What --scale makes smaller, by how much, and that the result says so."""

import json
from math import ceil, sqrt

import pytest

import miabench
from miabench.errors import UserError
from miabench.experiment.load import load_experiment, presets
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
    assert (small.schedule.epochs, small.schedule.batch_size) == (30, 23)
    lower = sqrt(23 / 256)
    assert small.schedule.lr == pytest.approx(0.01 * lower)
    assert small.schedule.milestones == pytest.approx({1: 0.1 * lower, 15: 0.01 * lower, 24: 0.001 * lower})
    assert (small.runs, small.shadows, small.scale) == (2, 5, 0.09)
    assert small.name == "uai24/table1b-resnet18@0.09"
    same = {"name", "dataset", "schedule", "runs", "scale"}
    assert small.model_dump(exclude=same) == full.model_dump(exclude=same)
    assert (small.schedule.momentum, small.schedule.weight_decay) == (0.9, 5e-4)


def test_no_fewer_than_twenty_epochs_batches_of_sixteen_and_one_run():
    small = scaled(load_experiment("uai24/table1b-resnet18"), 0.0001)
    assert (small.schedule.epochs, small.schedule.batch_size, small.runs) == (20, 16, 1)
    assert small.schedule.milestones == {1: 0.025, 10: 0.0025, 16: 0.00025}


def test_an_experiment_of_fewer_epochs_keeps_them(tiny):
    few = {"epochs": 7, "milestones": {3: 0.1, 6: 0.01}, "batch_size": 16}
    schedule = load_experiment(tiny(schedule=few)).schedule
    assert scaled(load_experiment(tiny(schedule=schedule)), 0.01).schedule == schedule


def test_of_milestones_that_fall_together_the_last_counts(tiny):
    schedule = {"epochs": 1000, "lr": 0.1, "milestones": {10: 0.05, 20: 0.02, 990: 0.01}, "batch_size": 16}
    small = scaled(load_experiment(tiny(schedule=schedule)), 0.0001).schedule
    assert small.milestones == {1: 0.02, 20: 0.01}
    assert [small.lr_at(epoch) for epoch in (1, 2, 20)] == [0.1, 0.02, 0.02]


def test_epochs_that_a_defense_counts_go_along(tiny):
    stops = {"name": "early-stopping", "stop_epoch": [1, 3, 50, 100]}
    one = {"name": "early_stopping", "stop_epoch": 30}
    patient = [{"name": "early-stopping", "patience": patience} for patience in (20, [2, 40])]
    gans = ["dmp-gan", {"name": "dmp-gan", "gan_epochs": [2, 50]}]
    defenses = [stops, one, "early-stopping", *patient, *gans, "crl"]
    experiment = load_experiment(tiny(schedule={"epochs": 100}, defense=defenses))
    found = [(choice.name, choice.params) for choice in scaled(experiment, 0.01).defense]
    assert found == [
        ("early-stopping", {"stop_epoch": [1, 10, 20]}),  # 1 and 3 fall together
        ("early-stopping", {"stop_epoch": 6}),
        ("early-stopping", {"stop_epoch": 2}),  # the default, 10
        ("early-stopping", {"patience": 4}),  # which takes the stop epoch's place
        ("early-stopping", {"patience": [1, 8]}),
        ("dmp-gan", {"gan_epochs": 40}),
        ("dmp-gan", {"gan_epochs": [1, 10]}),  # no fewer than one
        ("crl", {}),
    ]


@pytest.mark.parametrize(
    ("records", "expected"), [(None, 0.25), (100, 25), (0.5, 0.125), ([100, 0.5, None], [25, 0.125, 0.25])]
)
def test_records_that_the_experiment_sets(tiny, records, expected):
    experiment = load_experiment(tiny(dataset={"name": "toy", "records": records}))
    assert scaled(experiment, 0.25).dataset[0].params == {"records": expected}


def test_schedules_that_defenses_have_of_their_own(tiny):
    own = {"lr": [0.2, 0.4], "epochs": [40, 80], "milestones": {"20": 0.1}, "batch_size": [64, 8, 100]}
    written = tiny(defense=[{"name": "ce", "schedule": own}], schedule={"epochs": 100, "batch_size": 256})
    assert scaled(load_experiment(written), 0.25).defense[0].schedule == {
        "lr": [0.1, 0.2],  # as the experiment's: batches of 64 in place of 256
        "epochs": [20, 40],
        "milestones": {10: 0.05},
        "batch_size": [16, 8, 25],
    }


@pytest.mark.parametrize("key", ["dp-sgd.schedule.batch_size", "dp_sgd.schedule.batch_size", "defense.schedule"])
def test_what_the_user_chose_of_a_defense_s_own_schedule_stays(tiny, key):
    own = {"lr": 0.2, "batch_size": 128}
    written = tiny(defense=["ce", {"name": "dp-sgd", "schedule": own}], schedule={"epochs": 100, "batch_size": 256})
    small = scaled(load_experiment(written), 0.25, keep={key}).defense[1].schedule
    assert small == (own if key == "defense.schedule" else {"lr": 0.1, "batch_size": 128})


def test_what_the_user_chose_stays():
    full = load_experiment("uai24/fig4")
    small = scaled(full, 0.04, keep={"runs", "schedule.epochs", "schedule.batch_size", "dataset"})
    assert (small.runs, small.schedule, small.defense) == (5, full.schedule, full.defense)
    assert small.dataset[0].params == {"records": 0.04}
    assert scaled(full, 0.04, keep={"schedule.lr"}).schedule.lr == full.schedule.lr


@pytest.mark.parametrize("name", [name for name in presets() if name.startswith("uai24/")])
def test_the_smallest_presets_take_enough_steps(name):
    """150 members of 60,000 images, or the 75 that are left of them where a half is withheld."""
    schedule = scaled(load_experiment(name), 0.01).schedule
    assert schedule.epochs * ceil(150 / schedule.batch_size) >= 200
    assert schedule.epochs * ceil(75 / schedule.batch_size) >= 100


@pytest.mark.slow
def test_the_smallest_run_on_images_leaves_chance_behind(shared_data, tmp_path):
    if not (path := shared_data / "cifar10-jpeg.tar.xz").exists():
        pytest.skip("needs cifar10-jpeg.tar.xz")
    table = miabench.run(
        "uai24/table1a-resnet18",
        dataset={"name": "images", "path": str(path)},
        model="cnn",
        defense="ce",
        attack="entropy",
        scale=0.01,
        shadows=0,
        store=tmp_path / "store",
        executor="inline",
    )
    (test,) = table[table.metric == "test_accuracy"].itertuples()
    assert test.low > 0.1  # of ten classes


def test_what_became_of_defaults_is_told_from_what_was_set(tiny):
    small = scaled(load_experiment(tiny(defense=["ce", "early-stopping"], schedule={"epochs": 100})), 0.25)
    assert small.scaled_defaults == {"early-stopping": {"stop_epoch": 5}}
    assert scaled(small, 0.16).scaled_defaults == {"early-stopping": {"stop_epoch": 2}}
    given = tiny(defense=[{"name": "early-stopping", "stop_epoch": 20}], schedule={"epochs": 100})
    assert scaled(load_experiment(given), 0.25).scaled_defaults == {}


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
        "a scaled experiment (--scale 0.25): that share of the pool, 50 epochs in batches of 16, runs: 2; "
        "its numbers are not those of the full experiment"
    )
    plan = make_plan(small, Paths(tmp_path / "store"))
    assert {cell.dataset for cell in plan.index.cells} == {"toy records=0.25"}
    assert plan.index.cells[0].counts == {"members": 10, "non-members": 10}  # of 160 records
    (training,) = {job.spec.schedule.epochs for job in plan.jobs.values() if job.kind == "train"}
    assert training == 50


def test_pools_say_how_much_a_model_holds(tiny):
    pool = {key: value for key, value in tiny(protocol="pool", models=6).items() if key not in ("runs", "shadows")}
    assert remarks(load_experiment(pool)) == [
        "protocol pool: 6 models, each the target once, each trained on about half of the pool (protocol disjoint: a "
        "quarter)"
    ]


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
        "not published with the paper, so the values are ours: relaxloss.alpha, relaxloss.upper",
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
