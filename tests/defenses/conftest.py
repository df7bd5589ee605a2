"""Evaluating criteria on the golden inputs, and running experiments."""

import pytest
import torch

from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.store.store import Store


@pytest.fixture(scope="session")
def evaluate():
    """Loss of a criterion on one case's inputs, and logits and features with their gradients."""

    def evaluate(criterion, arrays, case, epoch=1):
        inputs = case["inputs"]
        logits = torch.tensor(arrays[f"{inputs}.logits"], requires_grad=True)
        features = torch.tensor(arrays[f"{inputs}.features"], requires_grad=True)
        criterion = criterion.double()
        if f"{inputs}.centers" in arrays and hasattr(criterion, "centers"):
            criterion.centers.data = torch.tensor(arrays[f"{inputs}.centers"])
        loss = criterion(logits, features, torch.tensor(arrays[f"{inputs}.labels"]), epoch)
        loss.backward()
        return loss.item(), logits, features

    return evaluate


@pytest.fixture
def do(tmp_path, tiny):
    """Run an experiment; gives plan, events and store."""

    def do(stages=("train",), **changes):
        plan = make_plan(load_experiment(tiny(**changes)), Paths(tmp_path / "store"))
        events = []
        outcome = run_stages(plan, stages, ExecutorConfig("inline"), events.append)
        assert not outcome.failed
        return plan, events, Store(tmp_path / "store")

    return do
