"""What a user sees while jobs run: on a terminal of 80 columns, and in a log file."""

import io

import pytest
from rich.console import Console

from miabench.experiment.load import load_experiment
from miabench.jobs.executors.base import Event
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.progress import Display


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Watched:
    """A display of three trainings of 10 epochs each, its clock in our hands."""

    def __init__(self, jobs, terminal, width):
        self.text = io.StringIO()
        self.clock = Clock()
        console = Console(file=self.text, force_terminal=terminal, width=width, markup=False, highlight=False)
        self.display = Display({job.key: job for job in jobs}, console, self.clock)
        self.jobs = jobs

    def tell(self, kind, job, after=0.0, **more):
        self.clock.now += after
        self.display(Event(kind, job, **more))

    def epoch(self, job, number, after=0.0):
        self.tell("progress", job, after, record={"epoch": float(number), "loss": 0.1 * number})

    def picture(self):
        """The lines that stand on the terminal now."""
        console = Console(file=io.StringIO(), width=self.display._console.width)
        console.print(self.display._picture())
        return console.file.getvalue().splitlines()


@pytest.fixture
def watch(tmp_path, tiny):
    experiment = tiny(schedule={"epochs": 10, "batch_size": 16}, defense=[{"name": "crl", "alpha_rce": 0.25}])
    jobs = list(make_plan(load_experiment(experiment), Paths(tmp_path / "store")).stage("train").values())
    return lambda terminal=True, width=80: Watched(jobs, terminal, width)


def test_a_line_for_the_whole_and_one_for_each_running_job(watch):
    seen = watch()
    first, second, _ = seen.jobs
    seen.tell("started", first)
    seen.tell("started", second)
    seen.epoch(first, 3)
    whole, *running = seen.picture()
    assert whole.startswith("0/3 ━")
    assert "0:00:00 left -:--:--" in whole
    assert running == [
        "  …n toy mlp hidden=[16] crl alpha_rce=0.25 run 0 target: epoch 3/10, loss 0.300",
        "  train toy mlp hidden=[16] crl alpha_rce=0.25 run 0 shadow-0",
    ]
    seen.tell("done", first)
    whole, *running = seen.picture()
    assert whole.startswith("1/3 ━")
    assert running == ["  train toy mlp hidden=[16] crl alpha_rce=0.25 run 0 shadow-0"]


def test_the_time_left_and_the_epoch_fit_a_narrow_terminal(watch):
    seen = watch(width=60)
    job = seen.jobs[0]
    seen.tell("started", job)
    for number in range(1, 6):
        seen.epoch(job, number, after=120)
    whole, running = seen.picture()
    assert len(whole) <= 60
    assert whole.rstrip().endswith("0:10:00 left 0:50:00")
    assert len(running) == 60
    assert running.startswith("  …")
    assert running.endswith("run 0 target: epoch 5/10, loss 0.500")


def test_epochs_that_take_minutes_have_an_estimate(watch):
    """Three trainings of 10 epochs: after 5 at two minutes each, 25 are left."""
    seen = watch(terminal=False)
    for number in range(1, 6):
        seen.epoch(seen.jobs[0], number, after=120)
    assert seen.display._all.time_remaining == 25 * 120


def test_a_resumed_training_does_not_look_fast(watch):
    """It begins in epoch 9: the epochs before were done by another process."""
    seen = watch(terminal=False)
    seen.epoch(seen.jobs[0], 9, after=100)
    seen.epoch(seen.jobs[0], 10, after=100)
    seen.tell("done", seen.jobs[0])
    assert seen.display._all.time_remaining == 20 * 100


def test_what_is_skipped_does_not_look_fast(watch):
    """A training that stops early leaves its last epochs undone."""
    seen = watch(terminal=False)
    for number in range(1, 4):
        seen.epoch(seen.jobs[0], number, after=100)
    seen.tell("done", seen.jobs[0])
    assert seen.display._all.time_remaining == 20 * 100


def test_a_log_has_a_line_a_minute_for_epochs_and_one_for_each_training(watch):
    seen = watch(terminal=False)
    first, second, third = seen.jobs
    for job in (first, second):
        seen.tell("started", job)
    for number in range(1, 11):
        seen.epoch(first, number, after=16)
    seen.tell("done", first)
    seen.tell("failed", second, why="no reason")
    seen.tell("failed", third, why="no reason")
    label = "toy mlp hidden=[16] crl alpha_rce=0.25 run 0"
    assert seen.text.getvalue().splitlines() == [
        f"[0/3] train {label} target: epoch 4/10, loss 0.400; about 0:06:56 left",
        f"[0/3] train {label} target: epoch 8/10, loss 0.800; about 0:05:52 left",
        f"[1/3] train {label} target",
        f"[2/3] failed: train {label} shadow-0: no reason",
        f"[3/3] failed: train {label} shadow-1: for the same reason",
    ]
