"""Several processes on one store share the work: what one is at, the others leave to it."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest
import torch

from miabench.experiment.load import load_experiment
from miabench.jobs import scheduler
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.runner import JobRunner
from miabench.jobs.stages import ExecutorConfig, run_stages

HOLDER = """
import sys, time
from miabench.store.store import Store
with Store(sys.argv[1]).lock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""
SHARER = """
import json, sys
from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
plan = make_plan(load_experiment(json.loads(sys.argv[2])), Paths(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
done = []
outcome = run_stages(
    plan, ("train",), ExecutorConfig("inline"), lambda event: done.append(event.job.key) if event.kind == "done" else 0
)
print(json.dumps({"done": done, "elsewhere": outcome.elsewhere, "stored": outcome.stored, "failed": outcome.failed}))
"""


@pytest.fixture
def plan(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(scheduler, "LOOK_AGAIN", 0.02)
    return make_plan(load_experiment(tiny()), Paths(tmp_path / "store"))


@pytest.fixture
def trained(plan):
    """Train with a listener; the outcome and the keys of the trainings in the order in which they ended.

    Jobs are begun as often as they are done here: what another is at or has done is not even begun.
    """

    def trained(on_end):
        ended, begun = [], []

        def listen(event):
            if event.kind == "started":
                begun.append(event.job.key)
            if event.kind in ("done", "stored"):
                ended.append(event.job.key)
                on_end(len(ended))

        outcome = run_stages(plan, ("train",), ExecutorConfig("inline"), listen)
        assert len(begun) == outcome.done
        return outcome, ended

    return trained


def test_a_job_that_another_is_at_is_put_off(plan, trained):
    first, *others = plan.stage("train")
    with ExitStack() as held:
        held.enter_context(plan.store.lock(first))
        outcome, ended = trained(lambda number: held.close() if number == len(others) else None)
    assert ended == [*others, first], "the others are done meanwhile"
    assert (outcome.done, outcome.elsewhere, outcome.failed) == (len(ended), 0, {})


def test_what_another_has_done_is_counted_as_such(plan, trained):
    first, *others = plan.stage("train")
    with ExitStack() as held:
        held.enter_context(plan.store.lock(first))

        def another_does_it(number):
            if number == 1:
                held.close()
                assert JobRunner(plan.context).run(plan.jobs[first], lambda record: None) == "done"

        outcome, ended = trained(another_does_it)
    assert (outcome.done, outcome.elsewhere, outcome.stored) == (len(others), 1, 0)
    assert sorted(ended) == sorted(plan.stage("train"))
    assert f"{len(others)} jobs done, 1 done by other processes, 0 were in the store" in str(outcome)


def test_a_holder_that_died_is_noticed(plan, trained):
    first, *others = plan.stage("train")
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, str(plan.store.folder), first], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"

    def kill(number):
        if number == len(others):
            threading.Timer(0.3, holder.send_signal, (signal.SIGKILL,)).start()  # nothing is left to do but to wait

    outcome, ended = trained(kill)
    holder.communicate()
    assert ended[-1] == first
    assert outcome.done == len(ended) == len(plan.stage("train"))


def test_a_runner_says_what_it_found(plan):
    job = next(iter(plan.stage("train").values()))
    runner = JobRunner(plan.context)
    with plan.store.lock(job.key):
        assert runner.run(job, lambda record: None) == "locked"
    assert not plan.store.has_all(job.gives)
    assert [runner.run(job, lambda record: None) for _ in range(2)] == ["done", "stored"]


def test_a_failure_is_forgotten_once_the_job_is_done(plan):
    job = next(iter(plan.stage("train").values()))
    plan.store.set_failure(job.key, "it was another day")
    assert JobRunner(plan.context).run(job, lambda record: None) == "done"
    assert plan.store.failure(job.key) is None


def test_nothing_is_left_locked(plan, trained):
    trained(lambda number: None)
    assert list((plan.store.folder / "locks").iterdir()) == []


@pytest.mark.slow
def test_three_processes_share_the_trainings_of_one_experiment(tmp_path, tiny):
    experiment = tiny(runs=4, shadows=3, schedule={"epochs": 150, "batch_size": 16})
    command = [sys.executable, "-P", "-c", SHARER, str(tmp_path / "store"), json.dumps(experiment)]
    sharers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [sharer.stdout.readline() for sharer in sharers] == ["ready\n"] * 3
    for sharer in sharers:
        sharer.stdin.write("go\n")
        sharer.stdin.flush()
    told = [json.loads(sharer.communicate(timeout=300)[0]) for sharer in sharers]
    plan = make_plan(load_experiment(experiment), Paths(tmp_path / "store"))
    trainings = sorted(plan.stage("train"))
    assert not plan.missing("train")
    assert sorted(key for one in told for key in one["done"]) == trainings, "each is done once"
    assert all(one["done"] for one in told), "each does some"
    assert all(len(one["done"]) + one["elsewhere"] + one["stored"] == len(trainings) for one in told)
    assert not any(one["failed"] for one in told)


def test_a_jobs_gpu_is_the_current_one(plan, monkeypatch):
    """Without a GPU: what asks for it is heard."""
    current = []

    @contextmanager
    def device(wanted):
        current.append(str(wanted))
        yield
        current.pop()

    def artifacts(self, job, progress, log):
        assert current == ["cuda:1"]
        return iter(())

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(JobRunner, "_artifacts", artifacts)
    job = next(iter(plan.stage("train").values()))
    assert JobRunner(plan.context.model_copy(update={"device": "cuda:1"})).run(job, lambda record: None) == "done"
    assert current == []
