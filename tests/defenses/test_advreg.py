"""AdvReg beside its golden values: who is held fixed when, who is withheld, and that collapse is reported."""

import re
from functools import partial

import pytest
import torch
from miabench.defenses.advreg import InferenceNetwork
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.summary import summarize
from miabench.reports.write import report
from miabench.results.results import Results
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig


class WithBatchNorm(miabench.Model, frozen=True):
    """Counts its training steps in BatchNorm's buffers."""

    def build(self, domain):
        return Classifier(nn.Sequential(nn.BatchNorm1d(*domain.shape)), nn.Linear(*domain.shape, domain.num_classes), 5)


@pytest.fixture
def task():
    """Twelve members and eight reference records, in batches of four."""
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    data = Data(x, torch.arange(20) % 2, ("a", "b"))
    setting = TaskConfig(
        build=partial(build_network, WithBatchNorm(), miabench.create_defense("advreg"), data.domain),
        num_classes=data.num_classes,
        ids={"train": torch.arange(12), "reference": torch.arange(12, 20)},
        given={},
        schedule=Schedule(epochs=2, lr=0.1, batch_size=4),
        seed=0,
        device=torch.device("cpu"),
    )
    return Task(setting, x, data.y)


def test_the_inference_pass_sees_the_classifier_in_eval_mode(task):
    net = miabench.create_defense("advreg").fit(task)
    assert net.encoder[0].num_batches_tracked == 2 * 3, "three steps in each of two epochs, none for reference records"


def test_reference_records_never_train_the_classifier(task):
    """With nothing to gain from the inference network they are not felt at all."""
    defense = miabench.create_defense("advreg", alpha=0.0)
    state = defense.fit(task).state_dict()
    x = task.x[:]
    x[12:] = 7.0
    other = defense.fit(Task(task._config, x, task.y)).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


@pytest.mark.parametrize("lr", [0.001, 0.02])
def test_the_inference_networks_learning_rate(task, monkeypatch, lr):
    """Adam's first step moves every weight by the learning rate, or not at all where it has no gradient."""
    made = []
    new = task.new
    monkeypatch.setattr(task, "new", lambda purpose, make: made.append(new(purpose, make)) or made[-1])
    task.schedule = Schedule(epochs=1, lr=0.1, batch_size=12)  # one step
    miabench.create_defense("advreg", inference_lr=lr).fit(task)
    (ours,) = made
    moved = torch.cat([(p - q).flatten() for p, q in zip(ours.parameters(), fresh(task).parameters(), strict=True)])
    assert moved.abs().max().item() == pytest.approx(lr, rel=0.01)


def fresh(task):
    """The inference network as it was."""
    return task.new("inference network", lambda: InferenceNetwork(task.num_classes))


def test_it_records_both_losses_and_the_accuracy(task):
    miabench.create_defense("advreg").fit(task)
    names = {"epoch", "lr", "loss", "accuracy", "inference_loss"}
    assert [set(record) for record in task.journal.history] == [names, names]


def test_a_collapsed_classifier_is_reported(do, capsys):
    """In every form, whatever its attacks say; nothing of it is marked as best."""
    plan, _, store = do(
        defense=["ce", {"name": "advreg", "alpha": 300.0}],
        stages=("train", "attack"),
        schedule={"epochs": 6, "batch_size": 16},
    )
    results = Results(plan.index, store)
    summary = summarize(results)
    ce, advreg = summary.lines
    assert (ce.collapsed, advreg.collapsed) == (0, 1)
    assert not judge(results, summary).best
    for form in ("table", "markdown", "latex", "html"):
        report(results, form, 100.0, None)
        text = capsys.readouterr().out
        assert "alpha=300.0" in text, form
        assert "(collapsed)" in text, form
        assert re.search(r"ollapsed:\s+nothing\s+was\s+learnt", text), form
        assert not re.search(r"ce \(no defense\) \(collapsed\)", text), form
