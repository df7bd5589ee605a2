"""What --dry-run counts, how it measures, and that it leaves nothing behind."""

import dataclasses
import time
from types import SimpleNamespace

import pytest

from miabench.errors import UserError
from miabench.experiment.load import load_experiment
from miabench.jobs import estimate as module
from miabench.jobs.estimate import describe, estimate
from miabench.jobs.executors import ray
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.plugins.discover import discover

SLEEPER = """
import time
from miabench import Defense

class Sleeper(Defense, frozen=True):
    def fit(self, task):
        net = task.net()
        for epoch in task.epochs(net=net):
            for ids in task.batches(task.ids["train"]):
                net(task.x[ids])
                time.sleep(0.005)
        return net
"""


@pytest.fixture
def plan(tmp_path, tiny):
    def make(**changes):
        return make_plan(load_experiment(tiny(**changes)), Paths(tmp_path / "store"))

    return make


def train(plan):
    outcome = run_stages(plan, ("train",), ExecutorConfig("inline"), lambda event: None)
    assert not outcome.failed


def by_label(found):
    return {work.label: work for work in found.work}


def test_counts_by_hand(plan):
    """2 defenses x 2 runs x (target + 2 shadows), 3 epochs of 40 members each."""
    found = estimate(plan(defense=["ce", "crl"], runs=2), workers=1)
    assert (found.name, found.possible, found.impossible, found.stored, found.workers) == ("tiny", 2, 0, 0, 1)
    assert {label: (work.trainings, work.epochs, work.records) for label, work in by_label(found).items()} == {
        "toy mlp ce": (6, 18, 18 * 40),
        "toy mlp crl": (6, 18, 18 * 40),
    }
    assert all(work.seconds > 0 for work in found.work)


def test_what_a_defense_does_beside_its_members_counts(plan):
    """AdvReg: 20 members and 20 reference records; an epoch passes the members twice and the reference once."""
    (work,) = estimate(plan(defense=["advreg"]), 1).work
    assert (work.trainings, work.epochs) == (3, 9)
    assert work.records == 9 * (20 + 20 + 20)


def test_trainings_to_start_from_count_once(plan):
    works = by_label(
        estimate(
            plan(defense=["ce", "from-ce", {"name": "early-stopping", "stop_epoch": 2}], more_plugins=["from_ce"]), 1
        )
    )
    assert works["toy mlp ce"].trainings == 3
    assert works["toy mlp early-stopping from net"].epochs == 0  # a snapshot of ce's
    assert sum(work.trainings for work in works.values()) == 9


def test_settings_of_a_defense_are_timed_once(plan, monkeypatch):
    timed = []
    original = module._timed
    monkeypatch.setattr(module, "_timed", lambda *args: timed.append(args[1].label) or original(*args))
    found = estimate(plan(defense=[{"name": "crl", "alpha_rce": [0.1, 0.2, 0.3]}, "ce"]), 1)
    assert [work.trainings for work in found.work] == [9, 3]
    assert len(set(timed)) == 2


def test_stored_trainings_are_not_done_again(plan):
    train(plan())
    made = plan(defense=["ce", "crl"])
    found = estimate(made, 1)
    assert (found.stored, list(by_label(found))) == (3, ["toy mlp crl"])
    train(made)
    done = estimate(made, 1)
    assert (done.stored, done.work) == (6, ())
    assert 0 < done.disk < found.disk  # answers, scores and metrics are still to come


def test_another_snapshot_of_a_stored_training(plan):
    stops = {"name": "early-stopping", "stop_epoch": 1}
    train(plan(defense=[stops]))
    works = by_label(estimate(plan(defense=[{**stops, "stop_epoch": [1, 2]}]), 1))
    assert (works["toy mlp ce"].trainings, works["toy mlp ce"].epochs) == (3, 6)  # through epoch 2 of 3


@pytest.mark.parametrize("long", [1.0, 0.0])
def test_seconds_are_those_of_the_defenses_own_fit(plan, tmp_path, monkeypatch, long):
    """Batches of 16 take 5 ms of a clock that only they move, of 256 members; also where one batch is long."""
    file = tmp_path / "sleeper"
    file.with_suffix(".py").write_text(SLEEPER)
    monkeypatch.setattr(module, "LONG", long)
    monkeypatch.setattr(module, "SMALL_BATCH", 16)
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    schedule = {"epochs": 3, "batch_size": 16}
    made = plan(dataset={"name": "toy", "n": 1024}, schedule=schedule, defense=["sleeper"], more_plugins=[file])
    (work,) = estimate(made, 1).work
    assert work.seconds == pytest.approx(3 * 3 * 256 / 16 * 0.005)


@pytest.mark.parametrize("name", [found.name for found in discover().all("defense") if found.name != "copy"])
def test_every_defense_can_be_timed(plan, name):
    if name == "dp-sgd":
        pytest.importorskip("opacus")
    data = (
        {"dataset": "toy-images", "model": "cnn", "more_plugins": ["toy_images"]}
        if name in ("dmp-gan", "augmentation")
        else {}
    )
    found = estimate(plan(defense=[name], schedule={"epochs": 10, "batch_size": 16}, **data), 1)
    assert found.possible == 1
    assert found.disk > 0
    assert sum(work.seconds for work in found.work) > 0


def test_nothing_is_left_behind(plan, tmp_path):
    made = plan(defense=["ce", "dmp"], attacks=["margin", "grad-x"])
    before = sorted(tmp_path.rglob("*"))
    estimate(made, 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_estimating_changes_no_result(plan, tmp_path, tiny):
    first = make_plan(load_experiment(tiny()), Paths(tmp_path / "other"))
    train(first)
    made = plan()
    estimate(made, 1)
    train(made)

    def weights(store):
        return {path.parent.name: path.read_bytes() for path in store.rglob("weights.safetensors")}

    assert weights(tmp_path / "store") == weights(tmp_path / "other")


def test_the_disk_is_what_a_run_takes(plan, tmp_path):
    made = plan(
        dataset={"name": "toy", "n": 6000},
        model={"name": "mlp", "hidden": [400]},
        attacks=["margin", "grad-x"],
        schedule={"epochs": 1, "batch_size": 256},
    )
    expected = estimate(made, 1).disk
    run_stages(made, ("train", "attack"), ExecutorConfig("inline"), lambda event: None)
    files = [*tmp_path.rglob("arrays.npz"), *tmp_path.rglob("weights.safetensors")]
    assert expected == pytest.approx(sum(file.stat().st_size for file in files), rel=0.02)


def test_a_device_that_only_the_cluster_has(plan):
    made = plan()
    with pytest.raises(UserError, match="this machine has no cuda:7, which the cluster has"):
        estimate(dataclasses.replace(made, context=made.context.model_copy(update={"device": "cuda:7"})), 1)


def test_jobs_at_once_are_those_of_the_cluster(plan, monkeypatch):
    nodes = [{"Alive": True, "Resources": {"CPU": 70.0, "GPU": 3.0}}, {"Alive": True, "Resources": {"CPU": 30.0}}]
    monkeypatch.setattr(ray, "joined", lambda address: SimpleNamespace(nodes=lambda: nodes))
    context = plan().context.model_copy(update={"threads": 2})
    assert ExecutorConfig("ray").slots(context) == 35 + 15
    assert ExecutorConfig("ray", jobs_per_gpu=2).slots(context.model_copy(update={"device": "cuda"})) == 6
    assert ExecutorConfig("ray", 4).slots(context) == 4
    assert ExecutorConfig("inline").slots(context) == 1


def test_cells_that_cannot_be_run(plan):
    found = estimate(plan(defense=["ce", "dmp-gan"]), 1)
    assert (found.possible, found.impossible) == (1, 1)


def test_the_text(plan):
    made = plan(defense=["ce", "crl"], runs=2, unpublished=["crl.alpha_rce"])
    lines = describe(estimate(made, workers=2)).splitlines()
    assert lines[:5] == [
        "tiny (toy, mlp): a dry run, nothing was trained",
        "cells      2 to run, 0 n/a",
        "trainings  12 to do, 0 stored",
        "epochs     36",
        "records    1,440 through networks",
    ]
    assert lines[5].startswith("time       about ")
    assert " on cpu, 2 at once, for trainings alone: answers, attacks and metrics come on top" in lines[5]
    assert lines[6].startswith("disk       about ")
    assert {line.partition(":")[0] for line in lines[7:9]} == {"  toy mlp ce", "  toy mlp crl"}
    assert all("6 trainings, 18 epochs, " in line for line in lines[7:9])
    assert "note: toy: 160 records, 4 classes" in lines


def work(seconds):
    return module.Work("toy mlp ce", 1000, 5000, 123456.0, seconds)


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [
        (3.14, 1, "about 3.1 seconds on cpu, for"),
        (119, 1, "about 119.0 seconds on cpu, for"),
        (600, 2, "about 5.0 minutes on cpu, 2 at once, for"),
        (7_200_000, 2, "about 1,000.0 hours on cpu, 2 at once, for"),
    ],
)
def test_durations(seconds, workers, expected):
    found = module.DryRun("demo", "toy, mlp", "cpu", 1, 0, 0, (work(seconds),), workers, 2.5e9, ("a note",))
    lines = describe(found).splitlines()
    assert expected in lines[5]
    assert lines[2] == "trainings  1,000 to do, 0 stored"
    assert lines[6] == "disk       about 2.5 GB"
    assert lines[-1] == "note: a note"


@pytest.mark.parametrize(("size", "expected"), [(900, "0.9 kB"), (2_000_000, "2.0 MB"), (12_345e6, "12.3 GB")])
def test_sizes(size, expected):
    found = module.DryRun("demo", "toy, mlp", "cpu", 1, 0, 0, (), 1, size, ())
    assert describe(found).splitlines()[6] == f"disk       about {expected}"
