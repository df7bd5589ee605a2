"""What a machine of a cluster does for a planner on another one; no cluster is needed to see that."""

import shutil
import sys
from pathlib import Path

import pytest

from miabench._version import __version__
from miabench.experiment.load import load_experiment
from miabench.jobs.executors import memory
from miabench.jobs.executors.ray import sources
from miabench.jobs.executors.seat import Seat
from miabench.jobs.plan import Paths, make_plan


@pytest.fixture
def plan(tmp_path, tiny):
    """The plan of an experiment whose plugin files are then only where nobody looks."""
    experiment = tiny(defense=["raises"], more_plugins=["raises"])
    folder = tmp_path / "only-on-the-planners-machine"
    folder.mkdir()
    experiment["plugins"] = [shutil.copy(path, folder) for path in experiment["plugins"]]
    return make_plan(load_experiment(experiment), Paths(tmp_path / "store"))


@pytest.fixture
def seat(plan, tmp_path):
    seat = Seat(plan.context.model_dump_json(), str(tmp_path / "not-there"), plan.context.store)
    yield seat
    seat.leave()


def test_plugin_files_need_not_be_there_and_are_called_what_the_planner_calls_them(plan, seat):
    trainings = list(plan.stage("train").values())
    travelling = sources(trainings[0].plugins)
    for file in trainings[0].plugins:
        Path(file.path).unlink()
    ends = []
    for job in trainings:
        *before, end = seat.do(job.model_dump_json(), travelling, __version__)
        assert [message["kind"] for message in before[:2]] == ["placed", "begun"]
        ends.append(end)
    assert [end["kind"] for end in ends].count("done") == len(
        [job for job in trainings if plan.store.has_all(job.gives)]
    )
    assert {end["kind"] for end in ends} == {"done", "failed"}
    raises = next(file.path for file in plan.context.plugins if Path(file.path).name == "raises.py")
    assert all(f"({raises}, line " in end["why"] for end in ends if end["kind"] == "failed")


def test_jobs_of_one_set_of_plugin_files_have_one_process_others_have_another(plan, seat):
    train, attack = (next(iter(plan.stage(stage).values())) for stage in ("train", "attack"))
    processes = []
    for job in (train, train, attack):
        list(seat.do(job.model_dump_json(), sources(job.plugins), __version__))
        processes.append(seat._worker.process.pid)
    assert processes[0] == processes[1]
    assert (processes[1] == processes[2]) is (set(train.plugins) == set(attack.plugins))


@pytest.mark.parametrize(
    ("version", "mark", "why"),
    [
        ("0.0.1", ".", f"has miabench {__version__}, this machine 0.0.1: install the same on both"),
        (__version__, "elsewhere", "does not see the store"),
    ],
)
def test_a_machine_that_cannot_do_any_job_says_so(plan, tmp_path, version, mark, why):
    seat = Seat(plan.context.model_dump_json(), str(tmp_path), str(Path(plan.context.store) / mark))
    job = next(iter(plan.jobs.values()))
    placed, unfit = seat.do(job.model_dump_json(), sources(job.plugins), version)
    assert (placed["kind"], unfit["kind"]) == ("placed", "unfit")
    assert why in unfit["why"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_keeps_what_a_training_frees_until_that_has_ended(tmp_path, tiny):
    defense = {"name": "frees", "log": str(tmp_path / "log")}
    plan = make_plan(load_experiment(tiny(defense=[defense], more_plugins=["frees"])), Paths(tmp_path / "store"))
    seat = Seat(plan.context.model_dump_json(), str(tmp_path), plan.context.store)
    try:
        job = next(iter(plan.stage("train").values()))
        list(seat.do(job.model_dump_json(), sources(job.plugins), __version__))
        used, freed = (1024 * int(word) for word in (tmp_path / "log").read_text().split())
        ended = memory._field(Path(f"/proc/{seat._worker.process.pid}/status"), "VmRSS")
        assert used - freed < 2**24 < 36 * 2**24 < used - ended
    finally:
        seat.leave()
