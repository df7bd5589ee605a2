"""Jobs that do not end, end their process, or give what nobody can use: each fails alone, with a reason."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import miabench
from miabench.api.experiments import planned
from miabench.errors import LONGEST_PROBLEM
from miabench.jobs.executors import memory
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.store.store import Store

DEFENSE = """
import ctypes, os, sys
from pathlib import Path
from miabench import Defense

class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")

def hang():
    ctypes.PyDLL(None).sleep(1000)  # lets no other thread run meanwhile

class Other(Defense, frozen=True):
    def fit(self, task):
        {fit}
"""


@pytest.fixture
def train(tmp_path, tiny):
    """Train a defense whose `fit` is given, beside the baseline; gives the outcome."""

    def train(fit, executor="inline", defense=("ce", "other"), **options):
        plugin = tmp_path / "other.py"
        plugin.write_text(DEFENSE.format(fit=fit))
        experiment = tiny(defense=list(defense), shadows=1)
        return miabench.train(experiment, plugin=plugin, store=tmp_path / "store", executor=executor, **options)

    return train


def only_reason(outcome):
    """Why all jobs of the other defense failed, and those of the baseline did not."""
    (why,) = set(outcome.failed.values())
    assert (outcome.done, len(outcome.failed)) == (2, 2)
    return why


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_plugin_that_exits_fails_its_job(train, executor, tmp_path):
    outcome = train("print('last words'); sys.exit('enough')", executor)
    assert only_reason(outcome).startswith("SystemExit: enough (")
    kept = {Store(tmp_path / "store").failure(key) for key in outcome.failed}
    assert all(why.startswith("last words\n") and why.endswith("SystemExit: enough") for why in kept)


def test_garbage_is_looked_for_in_a_worker(train):
    """Not while it starts; in a job, a defense's circles of objects would fill the memory."""
    outcome = train("import gc; sys.exit(f'{gc.isenabled()} {gc.get_freeze_count() > 0}')", "local", workers=1)
    assert only_reason(outcome).startswith("SystemExit: True True (")


def test_a_worker_ends_when_its_parent_says_no_more(tmp_path):
    worker = subprocess.Popen([sys.executable, "-P", "-m", "miabench._worker"], stdin=subprocess.PIPE)
    worker.stdin.close()
    assert worker.wait(timeout=120) == 0, "it would wait for its next job for ever"


def test_a_job_whose_worker_was_killed_is_tried_again_when_no_other_runs(tmp_path, tiny):
    plugin = tmp_path / "other.py"
    mark = f"Path({str(tmp_path)!r}, 'mark')"
    plugin.write_text(
        DEFENSE.format(fit=f"{mark}.exists() or ({mark}.touch(), os.kill(os.getpid(), 9)); return task.net()")
    )
    experiment = tiny(defense=["other", "ce"], schedule={"epochs": 30, "batch_size": 16}, shadows=4)
    plan = planned(experiment, {"store": tmp_path / "store", "plugin": plugin}, say=False)
    running, again = set(), []

    def heard(event):
        if event.kind == "started":
            again.append((event.job.key, set(running)))
            running.add(event.job.key)
        elif event.kind != "progress":
            running.discard(event.job.key)

    assert run_stages(plan, ("train",), ExecutorConfig("local", 2), heard).failed == {}
    begun = [key for key, _ in again]
    (twice,) = {key for key in begun if begun.count(key) == 2}
    assert [others for key, others in again if key == twice][1] == set()


def test_an_error_without_words_is_reported(train):
    why = only_reason(train("raise Speechless"))
    assert why.startswith("Speechless: (its text cannot be made: RuntimeError) (")


def test_the_words_of_an_error_are_cut(train):
    why = only_reason(train("raise ValueError('\\x1b[2Jx' * 10**6)"))
    assert len(why) < 2 * LONGEST_PROBLEM
    assert "\x1b" not in why


@pytest.mark.parametrize(
    ("fit", "why"),
    [
        ("return None", "fit must return a network; it gave NoneType"),
        ("return task.net().encoder", "which has shape (16, 12) as encoder."),
        ("net = task.net(); net.more = net.head; return net", "which has nothing as more."),
    ],
)
def test_a_network_that_nobody_could_load_is_not_stored(train, tmp_path, fit, why):
    assert why in only_reason(train(fit))
    assert len(list((tmp_path / "store" / "networks").iterdir())) == 2


def test_a_hanging_job_is_ended_after_its_time(train):
    outcome = train("hang()", "local", ["other"], workers=1, job_timeout=0.5)
    why = "it took longer than --job-timeout 0.5 seconds, so its worker process was ended"
    assert list(outcome.failed.values()) == [why, why]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_time_that_cannot_be_kept_is_refused(train, timeout):
    with pytest.raises(miabench.UserError, match="give seconds above 0"):
        train("return task.net()", "local", job_timeout=timeout)


def test_a_time_is_refused_where_nothing_could_keep_it(train):
    with pytest.raises(miabench.UserError, match="--executor inline has none"):
        train("return task.net()", "inline", job_timeout=1)


def test_a_job_whose_worker_died_is_tried_once_more(tmp_path, train):
    marks = tmp_path / "marks"
    marks.mkdir()
    once = f"""mark = Path({str(marks)!r}, str(task.generator("own").initial_seed()))
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return task.net()"""
    outcome = train(once, "local", workers=1)
    assert (outcome.done, outcome.failed) == (4, {})
    assert len(list(marks.iterdir())) == 2


@pytest.mark.skipif(memory.free() is None, reason="the system does not say how much memory is free")
@pytest.mark.parametrize(("free", "most"), [(0, 1), (2**60, 2)])
def test_no_more_jobs_run_than_there_is_memory_for(tmp_path, tiny, monkeypatch, free, most):
    monkeypatch.setattr(memory, "free", lambda: free)
    plan = planned(tiny(schedule={"epochs": 40, "batch_size": 16}), {"store": tmp_path / "store"}, say=False)
    running, at_once, kinds = set(), [], []

    def heard(event):
        kinds.append(event.kind)
        if event.kind == "started":
            running.add(event.job.key)
        elif event.kind != "progress":
            running.discard(event.job.key)
        at_once.append(len(running))

    outcome = run_stages(plan, ("train",), ExecutorConfig("local", 2), heard)
    assert outcome.failed == {}
    assert max(at_once) == most
    assert kinds[:2] == ["started", "progress"], "before its first epoch nothing is known of what a job takes"


def test_a_hanging_worker_ends_with_its_killed_parent(tmp_path, tiny):
    if sys.platform != "linux":
        pytest.skip("needs Linux' prctl")
    plugin, began = tmp_path / "other.py", tmp_path / "began"
    plugin.write_text(DEFENSE.format(fit=f"Path({str(began)!r}).write_text(str(os.getpid())); hang()"))
    given = (tiny(defense="other"), plugin, tmp_path / "store")
    code = f"import miabench; miabench.train({given[0]!r}, plugin={str(plugin)!r}, store={str(given[2])!r}, workers=1)"
    parent = subprocess.Popen([sys.executable, "-P", "-c", code])
    while not (began.exists() and began.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while Path("/proc", began.read_text()).exists():
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
