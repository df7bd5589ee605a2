"""When a job has taken too long, and how long until then."""

import time
from types import SimpleNamespace

import pytest

from miabench.jobs.executors.time_limit import TimeLimit


def at_work(seconds, job="job"):
    """Who began some seconds ago."""
    return SimpleNamespace(job=job, begun=None if seconds is None else time.monotonic() - seconds)


def test_the_first_that_is_late_counts():
    limit, quick, slow = TimeLimit(60), at_work(10), at_work(50)
    assert limit.left([quick, slow]) == pytest.approx(10, abs=1)
    assert limit.late([quick, slow, late := at_work(61)]) == [late]
    assert limit.left([slow, late]) == 0


def test_who_imports_or_has_nothing_to_do_is_never_late():
    importing, idle = at_work(None), at_work(100, job=None)
    assert TimeLimit(60).left([importing, idle]) is None
    assert TimeLimit(60).late([importing, idle]) == []


def test_without_a_limit_nobody_is():
    assert TimeLimit(None).left([at_work(10**6)]) is None
    assert TimeLimit(None).late([at_work(10**6)]) == []
