"""What jobs take is learnt from those that ran, and one whose worker was killed runs alone."""

from types import SimpleNamespace

import pytest

from miabench.jobs.executors import memory
from miabench.jobs.executors.needs import Needs


def job(key, sort="small"):
    return SimpleNamespace(key=key, sort=(sort,))


@pytest.fixture
def system(monkeypatch):
    """A machine with 100 bytes free, where each process takes what a test says, by its number."""
    taken = {}
    monkeypatch.setattr(memory, "free", lambda: 100)
    monkeypatch.setattr(memory, "peak", lambda pid: taken.get(pid, 0))
    return taken


def test_the_most_that_a_sort_has_ever_taken_counts(system):
    needs = Needs()
    for taken in (150, 10):
        system[1] = taken
        needs.learn(job("a"), 1)
    assert not needs.allow(job("b"), {2: job("c", "other")}, None)
    assert needs.allow(job("b"), {}, None), "alone it may try"


def test_what_running_jobs_will_still_take_is_left_to_them(system):
    needs = Needs()
    system[1] = 40
    needs.learn(job("a"), 1)
    system[2] = 40
    assert needs.allow(job("b"), {2: job("c")}, None), "it has all that it will take"
    system[2] = 0
    assert needs.allow(job("b"), {2: job("c")}, None)
    assert not needs.allow(job("b"), {2: job("c"), 3: job("d")}, None)


def test_a_job_whose_worker_was_killed_runs_alone(system):
    needs = Needs()
    system[1] = 1
    needs.learn(job("a"), 1)
    assert needs.allow(job("b"), {2: job("c")}, None)
    needs.runs_alone(job("b"))
    assert not needs.allow(job("b"), {2: job("c")}, None)
    assert needs.allow(job("b"), {}, None)
    assert needs.allow(job("d"), {2: job("c")}, None)
