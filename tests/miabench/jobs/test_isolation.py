"""No job changes another: whatever a plugin does, the results of all others are the bits they are without it."""

import os
import random
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.results.results import Results
from miabench.store.store import Store

ATTACKS = ["margin", "entropy", "loss", "grad-x"]
HARMLESS = ["wrong_labels", "batches", "schedule", "networks", "global_generators"]
REFUSED = {  # what is refused, and in which words
    "records": "task.x is no tensor and has no 'mul_': task.x[ids] gives a tensor",
    "records_data": "task.x is no tensor and has no 'data'",
    "records_numpy": "task.x is no tensor and has no 'numpy'",
    "records_set": "task.x cannot be changed: task.x[ids] gives a tensor that can",
    "dtype": "changed torch's default dtype (torch.float32 -> torch.float64), which all jobs",
    "device": "changed torch's default device (cpu -> meta), which all jobs",
    "gradients": "changed torch's gradient mode (True -> False), which all jobs",
    "threads": "changed torch's number of threads (1 -> 3), which all jobs",
    "denormals": "changed torch's flushing of denormal numbers (False -> True), which all jobs",
    "numpy_errors": "changed numpy's handling of errors, which all jobs",
    "tensor_method": "changed torch.Tensor.clone, which all jobs",
    "functional": "changed torch.nn.functional.cross_entropy, which all jobs",
    "layer": "changed torch.nn.modules.linear.Linear.forward, which all jobs",
    "inherited": "changed torch.nn.modules.activation.ReLU.__call__, which all jobs",
    "numpy_name": "changed numpy.sort, which all jobs",
    "other_defense": "changed miabench.defenses.ce.CrossEntropy.criterion, which all jobs",
    "hook": "changed the hooks of all modules (torch.nn.modules.module._global_forward_hooks), which all jobs",
    "inference": "torch's inference mode (False -> True), which all jobs",
    "then_raises": "give dtype= where a tensor is made; then RuntimeError: my own mistake",
}


def contents(store):
    """All that is stored but manifests and logs, which hold times: bytes by path."""
    kinds = ("networks", "observations", "scores", "metrics")
    files = [file for kind in kinds for file in (store.folder / kind).rglob("*.*") if file.is_file()]
    return {
        str(f.relative_to(store.folder)): f.read_bytes() for f in files if f.name not in ("manifest.json", "log.txt")
    }


@pytest.fixture(scope="module")
def do(tmp_path_factory, tiny):
    """Run an experiment in its own store; gives what was planned, stored, measured, and how many workers live."""

    def do(defense, executor=ExecutorConfig("inline"), **changes):
        folder = tmp_path_factory.mktemp("isolation")
        settings = {"attacks": ATTACKS, "shadows": 1, "more_plugins": ["poison"]} | changes
        experiment = tiny(defense=defense, **settings)
        plan = make_plan(load_experiment(experiment), Paths(folder))
        alive = []

        def count(event):
            children = subprocess.run(["pgrep", "-cfP", str(os.getpid()), "_worker"], capture_output=True, text=True)
            alive.append(int(children.stdout))

        outcome = run_stages(
            plan, ("train", "attack"), executor, count if executor.executor == "local" else alive.append
        )
        store = Store(folder)
        table = Results(plan.index, store).table
        return SimpleNamespace(
            plan=plan, outcome=outcome, stored=contents(store), alive=alive, table=table, store=store
        )

    return do


@pytest.fixture(scope="module")
def clean(do):
    """What is stored of two defenses and four attacks without any poison."""
    run = do(["ce", "crl"])
    assert not run.outcome.failed
    assert run.outcome.done == 30
    return run.stored


def trainings(run, how):
    """Of one poison."""
    own = (job for job in run.plan.jobs.values() if job.kind == "train" and job.spec.defense.name == "poison")
    return [job for job in own if job.spec.defense.params["how"] == how]


def assert_contained(run, clean, poisons):
    """A poison fails in its own words and nothing of it is stored, or does what it may; nothing else is changed."""
    for how in poisons:
        own = trainings(run, how)
        assert len(own) == 2
        for job in own:
            stored = all(run.store.has(ref) for ref in job.gives)
            why = run.outcome.failed.get(job.key, "")
            assert (stored, why) == (True, "") if how not in REFUSED else not stored and REFUSED[how] in why
            assert not why or REFUSED[how] in run.store.failure(job.key)
    assert all(job.key == job.spec.key for job in run.plan.jobs.values())
    assert [name for name, content in clean.items() if run.stored.get(name) != content] == []


def test_in_one_process(do, clean):
    """The trainings of all poisons come first, then those of two defenses: of these 30 artifacts none is another."""
    poisons = [*HARMLESS, *REFUSED]
    assert_contained(do([{"name": "poison", "how": poisons}, "ce", "crl"]), clean, poisons)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_in_worker_processes(do, clean, workers):
    """Here a poison that no check sees is contained too."""
    poisons = [*HARMLESS, "out_of_sight", "records_numpy", "dtype", "functional"]
    run = do([{"name": "poison", "how": poisons}, "ce", "crl"], ExecutorConfig("local", workers))
    assert max(run.alive) == workers
    assert_contained(run, clean, poisons)


def test_wrong_labels_train_and_true_ones_measure(do):
    run = do([{"name": "poison", "how": "wrong_labels"}, "ce"], schedule={"epochs": 20, "batch_size": 16})
    accuracy = run.table[run.table.metric == "test_accuracy"].set_index("defense").value
    assert accuracy["ce"] > 0.5
    assert accuracy["poison"] < 0.3


def test_numbers_of_the_global_generators_do_not_depend_on_what_ran_before(do):
    def draws(*more):
        run = do([*more, {"name": "poison", "how": "draws"}], attacks=["margin"])
        assert not run.outcome.failed
        return [run.stored[f"networks/{job.gives[0].key}/weights.safetensors"] for job in trainings(run, "draws")]

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(7)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    alone = draws()
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    assert alone[0] != alone[1], "each training has a stream of its own"
    random.random(), np.random.rand()
    assert draws("ce", {"name": "poison", "how": "global_generators"}) == alone
