"""`status` tells what became of every job, and only looks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest

import miabench
from miabench.files.toml import toml_text


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "records.csv"
    path.write_text("a,b,label\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(60)))
    return path


@pytest.fixture
def experiment(tiny, csv):
    return tiny(dataset={"name": "table", "path": str(csv)}, attacks="entropy", plugins=[])


def files(folder):
    return sorted(folder.rglob("*"))


def test_before_a_run_nothing_is_made(tmp_path, experiment):
    found = miabench.status(experiment, store=tmp_path / "store")
    assert {kind: counts["missing"] for kind, counts in found.counts.items()}["train"] == 3
    assert not (tmp_path / "store").exists()


def test_after_a_run_without_the_data_or_a_word_written(tmp_path, experiment, csv):
    store = tmp_path / "store"
    miabench.train(experiment, store=store, executor="inline")
    csv.unlink()
    shutil.rmtree(store / "locks", ignore_errors=True)
    before = files(store)
    found = miabench.status(experiment, store=store)
    assert found.counts["train"] == {"done": 3}
    assert found.counts["attack"]["missing"] == 1
    assert files(store) == before


def test_a_failure_and_a_job_that_someone_works_on(tmp_path, tiny):
    (tmp_path / "broken.py").write_text(
        "from miabench import Defense\nclass Broken(Defense, frozen=True):\n    def fit(self, task):\n        1 // 0\n"
    )
    broken = tiny(defense=["ce", "broken"])
    options = {"plugin": tmp_path / "broken.py", "store": tmp_path / "store"}
    miabench.train(broken, **options, executor="inline")
    found = miabench.status(broken, **options)
    assert found.counts["train"] == {"done": 3, "failed": 3}
    assert all("ZeroDivisionError" in why for why in found.failed.values())
    from miabench.api.experiments import resolved
    from miabench.results.job_list import JobList
    from miabench.store.store import Store

    store = Store(tmp_path / "store")
    listed = JobList.load(store, resolved(broken, {"plugin": tmp_path / "broken.py"}))
    job = next(job for job in listed.jobs if "broken" in job.label)
    with store.lock(job.key):
        assert miabench.status(broken, **options).running == [job.label]
    assert str(found).splitlines()[0] == "train    3 done, 0 running, 3 failed, 0 missing"
    (tmp_path / "broken.py").write_text((tmp_path / "broken.py").read_text() + "# another\n")
    assert miabench.status(broken, **options).counts["train"] == {"done": 3, "missing": 3}, "the file is another plugin"


def test_status_needs_no_torch(tmp_path, experiment):
    miabench.train(experiment, store=tmp_path / "store", executor="inline")
    code = (
        "import json, sys, miabench\n"
        f"print(miabench.status({experiment!r}, store={str(tmp_path / 'store')!r}))\n"
        "sys.exit(str({'torch', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("train    3 done")
    assert done.stderr == "set()\n"


@pytest.fixture
def stored(tmp_path, experiment):
    """An experiment whose trainings are listed and not done: its store and its jobs."""
    from miabench.api.experiments import planned

    plan = planned(experiment, {"store": tmp_path / "store"}, say=False)
    plan.listed.save(plan.store, plan.index.experiment)
    return plan.store, plan.listed.jobs


def note_of(key, store, **changes):
    from miabench.jobs.notes import Note

    told = {"host": "elsewhere", "pid": 1, "began": time.time() - 90, "renewed": time.time()}
    path = store.folder / "running" / f"{key}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(Note(**told | changes).model_dump_json())
    return path


def test_a_running_training_is_told_with_epoch_loss_and_machine(tmp_path, experiment, stored):
    store, jobs = stored
    note_of(jobs[0].key, store, first=1, epoch=2, loss=0.25)
    found = miabench.status(experiment, store=store.folder)
    assert found.running == [jobs[0].label]
    assert f"running: {jobs[0].label}: epoch 2, loss 0.250, on elsewhere for 0:01:30" in str(found)


@pytest.mark.parametrize("stale", ["old", "of this machine without a lock", "damaged"])
def test_a_note_that_a_killed_process_left_is_passed_over(experiment, stored, stale):
    store, jobs = stored
    path = note_of(jobs[0].key, store, renewed=time.time() - 3600)
    if stale == "of this machine without a lock":
        note_of(jobs[0].key, store, host=socket.gethostname())
    elif stale == "damaged":
        path.write_text(path.read_text()[:-9])
    assert miabench.status(experiment, store=store.folder).running == []


def test_the_time_left_is_measured_from_what_was_done_since_the_run_began(experiment, stored):
    store, jobs = stored
    from miabench.jobs.status import status

    trainings = [job for job in jobs if job.kind == "train"]
    note_of(trainings[0].key, store, first=2, epoch=2)
    one, all_of_it = trainings[0].weight / 3, sum(job.weight for job in jobs)
    found = status(jobs, store, begun=time.time() - 60)
    assert found.seconds_left == pytest.approx(60 * (all_of_it - 2 * one) / one, rel=0.01)
    note_of(trainings[0].key, store, renewed=0)
    assert status(jobs, store, begun=time.time() - 60).seconds_left is None


def test_a_failure_comes_with_the_last_lines_of_its_log(experiment, stored):
    store, jobs = stored
    store.set_failure(jobs[0].key, "\n".join(f"line {i}" for i in range(50)) + "\n\x1b[2Jbroke")
    text = str(miabench.status(experiment, store=store.folder))
    assert f"failed:  {jobs[0].label}: \\x1b[2Jbroke\n" in text
    assert [line for line in text.splitlines() if "|" in line] == [f"         | line {i}" for i in range(46, 50)]


def test_a_job_keeps_a_note_while_it_runs(tmp_path, stored, monkeypatch):
    from miabench.jobs import notes

    store, jobs = stored
    monkeypatch.setattr(notes, "EVERY", 0.01)
    with notes.NotedJob(store, jobs[0].key) as job:
        job.epoch({"epoch": 4.0, "loss": 0.5})
        while (note := notes.read_note(store, jobs[0].key)) is None or note.epoch is None:
            time.sleep(0.01)
    assert (note.host, note.pid, note.first, note.epoch, note.loss) == (socket.gethostname(), os.getpid(), 4, 4, 0.5)
    assert files(store.folder / "running") == []


def test_watching_waits_and_ends_when_all_is_done(capsys):
    from miabench.cli.watching import show_until_done
    from miabench.jobs.status import Status

    seen = [
        None,
        Status({"train": Counter(running=1)}, ["one"], {}),
        Status({"train": Counter(running=1)}, ["one"], {}),
        Status({"train": Counter(done=1)}, [], {}),
    ]
    looks = iter(seen)
    show_until_done(lambda: next(looks), every=0)
    assert capsys.readouterr().out.split("\n") == [
        "this experiment was not begun with this store yet",
        "train    0 done, 1 running, 0 failed, 0 missing",
        "running: one",
        "train    1 done, 0 running, 0 failed, 0 missing",
        "",
    ]


def test_watching_needs_no_data_and_writes_nothing(tmp_path, experiment, stored, csv):
    store, _ = stored
    csv.unlink()
    toml = tmp_path / "tiny.toml"
    toml.write_text(toml_text(experiment))
    before = files(store.folder)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "miabench", "status", "--watch", str(toml), "--store", str(store.folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("train    0 done")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert files(store.folder) == before
