"""Jobs on a cluster of two nodes, both on 127.0.0.1: the same bytes as on one machine, whatever is lost."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.jobs.executors.base import Event
from miabench.jobs.executors.ray import Share, joined, places
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.results.results import Results
from miabench.store.store import Store

KINDS = ("networks", "observations", "scores", "metrics")


def test_places_are_counted_on_living_nodes_by_what_is_scarcest():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert places(nodes, Share(cores=2, gpus=0)) == 4 + 1
    assert places(nodes, Share(cores=1, gpus=0.25)) == 8
    assert places(nodes, Share(cores=1, gpus=1)) == 2


def test_an_address_is_for_ray(tiny, tmp_path):
    with pytest.raises(miabench.UserError, match="add --executor ray"):
        miabench.train(tiny(), store=tmp_path, ray_address="127.0.0.1:1")


@pytest.fixture(scope="module")
def cluster():
    """A head without cores and one node; more are added by tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # or Ray turns 127.0.0.1 into the outer address
        ray = pytest.importorskip("ray", reason="needs the extra ray")
        from ray.cluster_utils import Cluster

        health = {"initial_delay_ms": 500, "period_ms": 500, "failure_threshold": 4}
        quick = {f"health_check_{name}": value for name, value in health.items()}
        cluster = Cluster()
        try:
            node = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 80 * 2**20}
            cluster.add_node(num_cpus=0, _system_config=quick, **node)
            cluster.more = lambda: cluster.add_node(num_cpus=1, **node)
            cluster.more()
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture
def do(tmp_path, tiny):
    """Run an experiment in a store of its own; gives plan, outcome, events and results."""

    def do(folder, executor, heard=lambda event: None, **changes):
        plan = make_plan(load_experiment(tiny(**changes)), Paths(tmp_path / folder))
        events: list[Event] = []

        def hear(event):
            events.append(event)
            heard(event)

        outcome = run_stages(plan, ("train", "attack"), executor, hear)
        return plan, outcome, events, Results(plan.index, Store(tmp_path / folder))

    return do


def contents(results):
    """Every number in a store: all artifacts' files but manifests and logs."""
    folder = results.store.folder
    files = [file for kind in KINDS for file in (folder / kind).rglob("*") if file.is_file()]
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in files
        if file.name not in ("manifest.json", "log.txt")
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_that_is_lost_costs_no_result(cluster, do):
    joined(cluster.address)
    doomed, epochs = cluster.more(), Counter()

    def lose_while_both_train(event):
        epochs[event.job.key] += 1
        if event.kind not in ("started", "progress"):
            del epochs[event.job.key]
        if sum(number > 1 for number in epochs.values()) == 2 and doomed in cluster.worker_nodes:
            cluster.remove_node(doomed, allow_graceful=False)

    experiment = {"runs": 2, "schedule": {"epochs": 150, "batch_size": 16}}
    on_both = ExecutorConfig("ray", 2, ray_address=cluster.address)
    _, outcome, events, there = do("there", on_both, lose_while_both_train, **experiment)
    _, alone, _, here = do("here", ExecutorConfig("inline"), **experiment)
    assert doomed not in cluster.worker_nodes
    assert "its machine was lost" in {event.why for event in events if event.kind == "retried"}
    assert outcome.failed == {}
    assert (
        outcome.done + outcome.elsewhere == alone.done
    )  # what was stored as the machine was lost, nobody here has done
    assert contents(there)
    assert contents(here) == contents(there)
    assert here.table.equals(there.table)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_asked_to_end_trainings_on_the_cluster_save_their_state(cluster, endless, tmp_path):
    experiment, log = endless
    child = f"import miabench; miabench.train({experiment!r}, store={str(tmp_path / 'store')!r}, executor='ray', "
    child += f"ray_address={cluster.address!r}, workers=1)"
    process = subprocess.Popen([sys.executable, "-P", "-c", child], start_new_session=True)
    while not (log.exists() and "3\n" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    done = [int(line) for line in log.read_text().split()]
    saved = [json.loads(path.read_text())["epoch"] for path in tmp_path.glob("store/checkpoints/*/state.json")]
    assert saved
    assert max(saved) == max(done), "the epoch that was running was not finished"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_job_on_the_cluster_is_ended_after_its_time(cluster, endless, tmp_path):
    options = {"store": tmp_path / "store", "executor": "ray", "ray_address": cluster.address, "job_timeout": 0.5}
    outcome = miabench.train(endless[0], **options)
    why = "it took longer than --job-timeout 0.5 seconds, so its worker process was ended"
    assert list(outcome.failed.values()) == [why, why]
    epochs = endless[1].read_text() if endless[1].exists() else ""
    time.sleep(0.6)
    assert (endless[1].read_text() if endless[1].exists() else "") == epochs, "it goes on for nobody"
