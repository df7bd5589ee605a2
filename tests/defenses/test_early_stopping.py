"""Stop epochs are snapshots of one training; patience keeps the best epoch of its own."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.training.checkpoint import Checkpoint
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

EPOCHS = 8
SCHEDULE = {"epochs": EPOCHS, "batch_size": 16, "milestones": {3: 0.01}}


def weights(store, ref):
    return load_file(store.file(ref, "weights.safetensors"))


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def targets(plan):
    """Each cell's target network, by the cell's label."""
    return {plan.index.cells[entry.cell].label: entry.network for entry in plan.index.entries if entry.attack is None}


# --- stop_epoch ---


@pytest.mark.parametrize(("others", "last"), [([], 5), (["ce"], EPOCHS)])
def test_a_grid_of_stop_epochs_costs_one_training(do, others, last):
    """No further than asked; beside a CE cell they cost nothing at all."""
    grid = {"name": "early-stopping", "stop_epoch": [2, 3, 5]}
    plan, events, _ = do(defense=[*others, grid], schedule=SCHEDULE)
    epochs = [(event.job.label, event.record["epoch"]) for event in events if event.kind == "progress"]
    for role in ("target", "shadow-0", "shadow-1"):
        assert [epoch for label, epoch in epochs if role in label] == list(range(1, last + 1))
    assert len([job for job in plan.jobs.values() if job.kind == "train" and job.spec.defense.name == "ce"]) == 3
    assert len(targets(plan)) == 3 + len(others)


def test_each_is_ce_cut_there_bit_for_bit(do):
    """CE trained under the same schedule, but for so many epochs only."""
    stopped, _, store = do(defense=["ce", {"name": "early-stopping", "stop_epoch": [2, 5]}], schedule=SCHEDULE)
    for epoch in (2, 5):
        cut, _, _ = do(schedule={**SCHEDULE, "epochs": epoch})
        ours = weights(store, targets(stopped)[f"early-stopping stop_epoch={epoch}"])
        assert equal(ours, weights(store, targets(cut)["ce"]))
        assert not equal(ours, weights(store, targets(stopped)["ce"]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "stop_epoch = 10 is beyond the schedule's 8 epochs: --set 'early-stopping.stop_epoch=4'"),
        (
            {"stop_epoch": [9, 2, 8, 30]},
            "stop_epoch = 9, 30 is beyond the schedule's 8 epochs: --set 'early-stopping.stop_epoch=[2, 8]'",
        ),
    ],
)
def test_a_stop_epoch_beyond_the_schedule_is_refused_before_data_are_read(do, tmp_path, given, expected):
    absent = {"name": "images", "path": str(tmp_path / "absent.tar")}
    with pytest.raises(miabench.UserError) as caught:
        do(dataset=absent, defense=["ce", {"name": "early-stopping", **given}], schedule=SCHEDULE)
    assert caught.value.problems == (f"defense early-stopping: {expected}; --scale without --epochs shortens both",)


def test_patience_asks_for_no_epoch(do, tmp_path):
    absent = {"name": "images", "path": str(tmp_path / "absent.tar")}
    with pytest.raises(miabench.UserError, match="cannot read"):
        do(dataset=absent, defense=["ce", {"name": "early-stopping", "patience": 20}], schedule=SCHEDULE)


def test_one_rule_only():
    with pytest.raises(miabench.UserError, match=r"^defense early-stopping: give stop_epoch or patience, not both$"):
        miabench.create_defense("early-stopping", stop_epoch=3, patience=2)


def test_what_is_stored_builds_again():
    defense = miabench.create_defense("early-stopping", patience=2)
    assert miabench.create_defense("early-stopping", **defense.model_dump(mode="json")) == defense


# --- patience ---


class MLP(miabench.Model, frozen=True):
    """One hidden layer, after BatchNorm or not."""

    norm: bool = False

    def build(self, domain):
        first = torch.nn.BatchNorm1d(*domain.shape) if self.norm else torch.nn.Identity()
        encoder = torch.nn.Sequential(first, torch.nn.Linear(*domain.shape, 8), torch.nn.Tanh())
        return Classifier(encoder, torch.nn.Linear(8, domain.num_classes), 8)


@pytest.fixture
def setting():
    """Few noisy records of three classes, the last fifteen for validation: accuracy goes up and down."""
    random = torch.Generator().manual_seed(3)
    y = torch.arange(45) % 3
    data = Data(torch.eye(3, 5)[y] + 0.7 * torch.randn(45, 5, generator=random), y, ("a", "b", "c"))

    def make(patience=3, **changes):
        values = {
            "defense": miabench.create_defense("early-stopping", patience=patience),
            "model": MLP(),
            "data": data,
            "ids": {"train": torch.arange(30), "validation": torch.arange(30, 45)},
            "given": {},
            "schedule": Schedule(epochs=30, lr=0.1, batch_size=8),
            "seed": 1,
            "device": torch.device("cpu"),
        }
        values |= changes
        build = partial(build_network, values.pop("model"), values["defense"], data.domain)
        return WithData(build=build, num_classes=3, **values)

    return make


@dataclass(frozen=True)
class WithData(TaskConfig):
    defense: miabench.Defense | None = None
    data: Data | None = None


def fit(setting):
    task = Task(setting, setting.data.x, setting.data.y)
    return setting.defense.fit(task), task


def accuracy(net, setting):
    ids = setting.ids["validation"]
    return (net(setting.data.x[ids])[0].argmax(1) == setting.data.y[ids]).double().mean().item()


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_the_best_epoch_is_kept(setting, patience):
    made = setting(patience, snapshots=frozenset(range(1, 31)))
    net, task = fit(made)
    seen = [record["validation_accuracy"] for record in task.journal.history]
    best = int(np.argmax(seen)) + 1  # the first of equals
    assert equal(net.state_dict(), task.journal.snapshots[best])
    assert accuracy(net.eval(), made) == pytest.approx(seen[best - 1])
    assert len(seen) == best + patience < 30, "it ends when nothing was better for so long"
    assert {"loss", "accuracy"} <= set(task.journal.history[0])


def test_validation_sees_the_network_as_it_will_answer(setting):
    """In eval mode: BatchNorm does not read the validation records."""
    made = setting(30, model=MLP(norm=True), snapshots=frozenset(range(1, 31)))
    _, task = fit(made)
    net = MLP(norm=True).build(made.data.domain)
    modes = {mode: [] for mode in (True, False)}
    for epoch in range(1, 31):
        for mode, seen in modes.items():
            net.load_state_dict(task.journal.snapshots[epoch])
            seen.append(accuracy(net.train(mode), made))
    assert [record["validation_accuracy"] for record in task.journal.history] == pytest.approx(modes[False])
    assert modes[True] != modes[False]


def test_with_patience_for_all_epochs_it_trains_as_ce(setting):
    made = setting(30, snapshots=frozenset({30}))
    _, task = fit(made)
    _, ce = fit(setting(defense=miabench.create_defense("ce"), snapshots=frozenset({30})))
    assert len(task.journal.history) == 30
    assert equal(task.journal.snapshots[30], ce.journal.snapshots[30])


def test_an_interrupted_training_goes_on_bit_for_bit(setting, tmp_path):
    whole_net, whole = fit(setting())
    epochs = len(whole.journal.history)
    stops = iter([epochs - 2, 1, epochs])  # between the best epoch and the end, twice; then not
    left = [next(stops)]

    def stop(record):
        left[0] -= 1
        if left[0] == 0:
            raise InterruptedError

    made = setting(checkpoint=Checkpoint(tmp_path / "checkpoint", seconds=0), progress=stop)
    for _ in range(2):
        with pytest.raises(InterruptedError):
            fit(made)
        left[0] = next(stops)
    net, resumed = fit(made)
    assert equal(net.state_dict(), whole_net.state_dict())
    assert resumed.journal.history == whole.journal.history


def test_the_validation_part_is_withheld(do):
    plan, _, store = do(
        defense=[{"name": "early-stopping", "patience": 2, "validation_fraction": 0.25}], stages=("train", "attack")
    )
    assert plan.index.cells[0].counts == {"members": 30, "non-members": 40, "validation": 10}
    for job in plan.jobs.values():
        if job.kind == "train":
            train, validation = (store.ids(job.spec.parts[name].ids) for name in ("train", "validation"))
            assert not set(train) & set(validation)
        if job.kind == "attack":
            assert len(store.arrays(job.gives[0])["target_row"]) == 70
