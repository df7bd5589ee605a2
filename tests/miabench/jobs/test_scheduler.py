"""Experiments end to end, through both executors: failures stay where they are, and nothing is done twice."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import miabench
from miabench.errors import DISK_FULL, disk_is_full
from miabench.experiment.load import load_experiment
from miabench.files.toml import toml_text
from miabench.jobs.executors.base import Event
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.scheduler import run_jobs
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.metrics.names import ATTACK_METRICS
from miabench.results.results import Results
from miabench.store.store import Ref, Store

EVERY_CONTRACT = ["second-network", "from-ce", "subset-ensemble", "noisy-server", "poisson-sgd"]
FILES = [name.replace("-", "_") for name in EVERY_CONTRACT]


@pytest.fixture
def do(tmp_path, tiny):
    """Run an experiment in a store of its own; gives plan, outcome, events and results."""

    def do(folder="store", executor=ExecutorConfig("inline"), stages=("train", "attack"), **changes):
        plan = make_plan(load_experiment(tiny(**changes)), Paths(tmp_path / folder))
        events = []
        outcome = run_stages(plan, stages, executor, events.append)
        return plan, outcome, events, Results(plan.index, Store(tmp_path / folder))

    return do


def contents(store):
    """Every number in a store: all artifacts' files but manifests, by kind and key."""
    kinds = ("networks", "observations", "scores", "metrics")
    files = [file for kind in kinds for file in (store.folder / kind).rglob("*") if file.is_file()]
    return {
        str(f.relative_to(store.folder)): f.read_bytes() for f in files if f.name not in ("manifest.json", "log.txt")
    }


@pytest.mark.slow
def test_inline_and_local_give_the_same_bits(do):
    experiment = {"defense": ["ce", "crl", *EVERY_CONTRACT], "more_plugins": FILES}
    _, inline, _, here = do("here", **experiment)
    _, local, _, there = do("there", ExecutorConfig("local", 2), **experiment)
    assert not inline.failed | local.failed
    assert contents(here.store)
    assert contents(here.store) == contents(there.store)
    assert here.table.equals(there.table)


def test_the_table_is_tidy_and_complete(do):
    _, outcome, _, results = do(defense=["ce", "crl"], runs=2, attacks=["margin", "entropy"])
    assert outcome.failed == {}
    table = results.table
    assert len(table) == 2 * 2 * (2 + 2 * len(ATTACK_METRICS))
    assert table[table.attack.isna()].metric.unique().tolist() == ["train_accuracy", "test_accuracy"]
    assert set(table[~table.attack.isna()].metric) == set(ATTACK_METRICS)
    known = table[table.value.notna()]
    assert (known.low <= known.value).all()
    assert (known.value <= known.high).all()
    assert ((known.value >= np.where(known.metric == "advantage", -1, 0)) & (known.value <= 1)).all()
    missing = table[table.value.isna()]
    assert {metric for metric in missing.metric if "@" not in metric} == set()
    assert missing.reason.str.contains(r"needs [\d,]+ (?:non-)?members(?: of shadow models)?, has [48]0").all()


def test_a_second_time_nothing_is_done(do):
    do()
    _, outcome, events, _ = do()
    assert (outcome.done, events) == (0, [])
    assert outcome.stored > 0


def test_more_shadows_train_only_the_new_ones(do):
    do(stages=("train",))
    _, outcome, _, _ = do(stages=("train",), shadows=4)
    assert (outcome.done, outcome.stored) == (2, 3)


def test_a_new_snapshot_of_a_stored_training_joins_it(do):
    do(stages=("train",))
    _, outcome, events, _ = do(stages=("train",), defense=["ce", "from-ce"], more_plugins=["from_ce"])
    trained = [event.job.label for event in events if event.kind == "done" and " ce run" in event.job.label]
    assert len(trained) == 3
    epochs = [event.record["epoch"] for event in events if event.kind == "progress" and event.job.label == trained[0]]
    assert epochs == [1, 2], "only as far as the missing snapshot"
    assert outcome.failed == {}


@pytest.mark.parametrize("executor", [ExecutorConfig("inline"), ExecutorConfig("local", 2)], ids=["inline", "local"])
def test_a_failure_stops_only_what_needs_it(do, executor):
    _, outcome, _, results = do(executor=executor, defense=["ce", "raises"], shadows=3, more_plugins=["raises"])
    assert outcome.failed
    assert all("RuntimeError: shadow models are beyond me" in why for why in outcome.failed.values())
    assert all("raises.py, line" in why for why in outcome.failed.values())
    table = results.table
    assert table[(table.defense == "ce") & (table.metric == "auc")].value.notna().all()
    failed = table[(table.defense == "raises") & (table.metric == "auc")]
    assert failed.value.isna().all()
    assert failed.reason.str.contains("shadow models are beyond me").all()
    key = next(iter(outcome.failed))
    assert results.store.failure(key).startswith("about to fail")


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_own_job(do):
    _, outcome, _, results = do(executor=ExecutorConfig("local", 2), defense=["dies", "ce"], more_plugins=["dies"])
    assert len(outcome.failed) == 3
    assert set(outcome.failed.values()) == {"its worker process was killed by SIGKILL (out of memory?), twice"}
    table = results.table
    assert table[(table.defense == "ce") & (table.metric == "auc")].value.notna().all()


@pytest.mark.parametrize("executor", [ExecutorConfig("inline"), ExecutorConfig("local", 1)], ids=["inline", "local"])
def test_on_a_full_disk_nothing_more_is_begun(do, executor):
    plan, outcome, events, results = do(
        executor=executor, defense=["fills-the-disk", "ce"], more_plugins=["fills_the_disk"], shadows=1
    )
    assert list(outcome.failed.values()) == [DISK_FULL]
    assert [event.kind for event in events] == ["started", "failed"]
    assert set(outcome.blocked.values()) == {DISK_FULL}
    assert outcome.failed.keys() | outcome.blocked.keys() == plan.jobs.keys()
    assert results.table.reason.eq(DISK_FULL).all()


def test_a_full_disk_is_recognised_in_the_words_of_safetensors():
    assert disk_is_full(ValueError("Error while serializing: I/O error: No space left on device (os error 28)"))
    assert disk_is_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert not disk_is_full(OSError(errno.EACCES, "Permission denied"))


class Noted:
    """An executor that does nothing but note the order; `idle` is what its idle processes have imported."""

    def __init__(self, idle):
        self.slots = 1
        self.idle = idle
        self.order = []

    def waiting(self):
        return self.idle

    def fits(self, job):
        return True

    def interrupted(self, number):
        raise KeyboardInterrupt

    def start(self, job):
        self.order.append(job)

    def wait(self, seconds=None):
        return [Event("done", self.order[-1])]

    def close(self):
        pass


def test_jobs_whose_plugin_files_are_imported_already_come_first(do, tmp_path, tiny):
    plan = make_plan(load_experiment(tiny(defense=["ce", "from-ce"], more_plugins=["from_ce"])), Paths(tmp_path))

    def sets(idle):
        executor = Noted(idle)
        run_jobs(plan.jobs, lambda: executor, Store(tmp_path), lambda event: None)
        assert len(executor.order) == len(plan.jobs)
        return [tuple(sorted(Path(file.path).stem for file in job.plugins)) for job in executor.order]

    planned = sets([])
    assert set(planned) == {("toy",), ("margin", "toy"), ("from_ce", "toy")}
    own = ("from_ce", "toy")
    preferred = sets([frozenset(file for file in plan.context.plugins if Path(file.path).stem in own)])
    assert sorted(preferred) == sorted(planned)
    assert preferred.index(own) < planned.index(own)


@pytest.mark.slow
def test_failed_jobs_are_tried_again(do, tmp_path, tiny):
    _, first, _, _ = do(defense=["dies"], more_plugins=["dies"], executor=ExecutorConfig("local", 1))
    _, again, _, _ = do(defense=["dies"], more_plugins=["dies"], executor=ExecutorConfig("local", 1))
    assert set(first.failed) == set(again.failed)
    assert first.failed


def test_attacking_what_is_not_trained(do):
    with pytest.raises(miabench.UserError, match="3 of the trainings that the attacks need are not in the store"):
        do(stages=("attack",))


def test_damaged_weights_are_named_and_fail_only_what_needs_them(do):
    plan, _, _, results = do(stages=("train",), defense=["ce", "crl"])
    entry = next(entry for entry in plan.index.entries if entry.network)
    weights = results.store.path(entry.network) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    _, outcome, _, _ = do(stages=("attack",), defense=["ce", "crl"])
    assert len(outcome.failed) == 1
    assert "weights.safetensors is damaged; remove the folder" in next(iter(outcome.failed.values()))
    assert outcome.done


def test_damaged_membership_lists_are_made_anew_before_they_are_read(do):
    _, _, _, results = do("damaged", stages=("train",))
    for path in (results.store.folder / "ids").iterdir():
        content = bytearray(path.read_bytes())
        content[200] ^= 1
        path.write_bytes(content)
    _, outcome, _, results = do("damaged")
    assert outcome.failed == {}
    _, _, _, whole = do("whole")
    assert contents(results.store) == contents(whole.store)
    assert results.table.equals(whole.table)


def test_what_a_serving_defense_answers(do, tmp_path):
    """Black-box probes see the served logits, the same each time and in any company; white-box ones the network."""
    plan, _, _, results = do(
        defense=["ce", "noisy-server"], attacks=["margin", "grad-x"], more_plugins=["noisy_server"]
    )
    logits = {}
    for job in plan.jobs.values():
        if job.kind == "observe" and job.spec.probe.qualname == "Logits":
            net = results.store.manifest(Ref("networks", job.spec.network))
            logits[net.spec["defense"]["name"], job.spec.network] = results.store.arrays(job.gives[0])["answers"]
    served = [value for (name, _), value in logits.items() if name == "noisy-server"]
    plain = [value for (name, _), value in logits.items() if name == "ce"]
    assert len(served) == len(plain) == 3
    assert not any(np.allclose(s, p) for s in served for p in plain)
    table = results.table
    grad_x = table[(table.metric == "auc") & (table.attack == "grad-x")].set_index("defense").value
    margin = table[(table.metric == "auc") & (table.attack == "margin")].set_index("defense").value
    assert grad_x["ce"] == grad_x["noisy-server"]
    assert margin["ce"] != margin["noisy-server"]


CHILD = """
import json, sys
from miabench.cli import commands as cli
sys.argv = ["miabench", *json.loads(sys.argv[1])]
cli.main()
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD, json.dumps([str(a) for a in arguments])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def toml(tmp_path, experiment):
    path = tmp_path / "experiment.toml"
    path.write_text(toml_text(experiment))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, tiny, do, ending):
    experiment = tiny(defense=["ce", "crl"], runs=2, schedule={"epochs": 60, "batch_size": 16})
    path = toml(tmp_path, experiment)
    store = Store(tmp_path / "interrupted")
    process = start("train", path, "--store", store.folder, "--workers", 2)
    networks = store.folder / "networks"
    for _ in range(1200):
        if networks.exists() and len([n for n in networks.iterdir() if n.name[0] != "."]) >= 3:
            break
        time.sleep(0.05)
    process.send_signal(ending)
    _, errors = process.communicate(timeout=30)
    finished = {n.name: (n / "manifest.json").stat().st_mtime_ns for n in networks.iterdir() if n.name[0] != "."}
    assert 3 <= len(finished) < 12, errors
    if ending != signal.SIGKILL:
        assert process.returncode == 128 + ending
        assert "the same command goes on from there" in errors
        assert "Traceback" not in errors
    _, outcome, _, resumed = do("interrupted", ExecutorConfig("local", 2), **experiment)
    assert outcome.failed == {}
    for name, time_ns in finished.items():
        assert (networks / name / "manifest.json").stat().st_mtime_ns == time_ns, "trained twice"
    _, _, _, whole = do("whole", **experiment)
    assert contents(store) == contents(whole.store)
    assert resumed.table.equals(whole.table)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "executor"), [(signal.SIGINT, "inline"), (signal.SIGTERM, "local"), (signal.SIGHUP, "inline")]
)
def test_asked_to_end_a_training_saves_its_state(tmp_path, endless, executor, ending):
    """Which it does every minute otherwise: after its epoch, within seconds, and with one sentence."""
    experiment, log = endless
    path = toml(tmp_path, experiment)
    if signal.getsignal(ending) is signal.SIG_IGN:  # under nohup, and then in what is started here too
        signal.signal(ending, signal.SIG_DFL)
    process = start("train", path, "--store", tmp_path / "store", "--executor", executor)
    while not (log.exists() and "3\n" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(ending)
    _, errors = process.communicate(timeout=60)
    done = [int(line) for line in log.read_text().split()]
    assert process.returncode == 128 + ending
    assert errors.splitlines()[-1] == "stopped; what was finished is kept, and the same command goes on from there"
    assert "Traceback" not in errors
    saved = [json.loads(path.read_text())["epoch"] for path in tmp_path.glob("store/checkpoints/*/state.json")]
    assert max(saved) == max(done), "the epoch that was running was not finished"
    assert not any(path.name[0] != "." for path in tmp_path.glob("store/running/*"))


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_does_not_reach_workers(tmp_path, endless):
    """It goes to the whole group: a worker that has it too may end before its parent asks for a training's state."""
    experiment, log = endless
    process = start("train", toml(tmp_path, experiment), "--store", tmp_path / "store", "--executor", "local")
    while not (log.exists() and "3\n" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    groups = {os.getpgid(int(worker)) for worker in workers}
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert groups
    assert process.pid not in groups
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in errors
    saved = [json.loads(path.read_text())["epoch"] for path in tmp_path.glob("store/checkpoints/*/state.json")]
    assert max(saved) == max(map(int, log.read_text().split()))


def test_workers_end_with_a_killed_parent(tmp_path, tiny):
    path = toml(tmp_path, tiny(schedule={"epochs": 100000, "batch_size": 16}))
    process = start("train", path, "--store", tmp_path / "store", "--workers", 1)
    children = []
    for _ in range(600):
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        if children:
            break
        time.sleep(0.05)
    assert children
    time.sleep(1)
    process.kill()
    process.communicate()
    for _ in range(200):
        if not any(Path("/proc", child).exists() for child in children):
            return
        time.sleep(0.05)
    raise AssertionError("a worker outlived its parent")


def test_the_python_api(tmp_path, tiny):
    table = miabench.run(tiny(), store=tmp_path / "store", executor="inline")
    assert set(table.metric) >= {"auc", "test_accuracy"}
    assert table.equals(miabench.run(tiny(), store=tmp_path / "store", executor="inline"))


def test_a_folder_called_miabench_here_is_not_taken_for_the_package(do, tmp_path, monkeypatch):
    """As in this repository's root, after a wheel is installed."""
    (tmp_path / "miabench").mkdir()
    (tmp_path / "miabench" / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    monkeypatch.chdir(tmp_path)
    _, outcome, _, _ = do(executor=ExecutorConfig("local", 1))
    assert outcome.failed == {}


SHIFTED = """
import torch
from miabench import Data, Dataset
class {name}(Dataset, frozen=True):
    def load(self, root):
        random = torch.Generator().manual_seed(0)
        y = torch.arange(160) % 4
        x = torch.eye(4, 12)[y] * 2 + torch.randn(160, 12, generator=random)
        return Data(x, y, ("a", "b", "c", "d"), mean=torch.full((12,), {mean}))
"""


def test_the_same_records_prepared_otherwise_are_another_pool(tmp_path, tiny):
    """In one process, as a worker does the jobs of several datasets one after another."""
    files = []
    for name, mean in (("one", 0.0), ("other", 5.0)):
        files.append(tmp_path / f"{name}.py")
        files[-1].write_text(SHIFTED.format(name=name.capitalize(), mean=mean))
    both = miabench.run(tiny(dataset=["one", "other"]), plugins=files, store=tmp_path / "both", executor="inline")
    alone = miabench.run(tiny(dataset="other"), plugins=files, store=tmp_path / "alone", executor="inline")
    together = both[both.dataset == "other"].reset_index(drop=True)
    assert together.equals(alone)
    assert not together.value.equals(both[both.dataset == "one"].reset_index(drop=True).value)
