"""`status` tells what became of every job, and only looks."""

import shutil
import subprocess
import sys

import pytest

import miabench


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
        "from miabench import Defense\nclass Broken(Defense, frozen=True):\n    def fit(self, task):\n        1 / 0\n"
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
