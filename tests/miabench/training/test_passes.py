"""`task.train_epoch` and `task.evaluate`, beside loops that are written out."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import miabench
from miabench.training.checkpoint import Checkpoint
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

N, DIMS, CLASSES = 22, 5, 3


def build():
    """With BatchNorm and dropout, which tell the modes apart."""
    encoder = nn.Sequential(nn.Linear(DIMS, 4), nn.BatchNorm1d(4), nn.Dropout(0.4))
    return Classifier(encoder, nn.Linear(4, CLASSES), 4)


def make_task(**changes):
    x = torch.randn(N, DIMS, generator=torch.Generator().manual_seed(0))
    values = {
        "build": build,
        "num_classes": CLASSES,
        "ids": {"train": torch.arange(20), "reference": torch.arange(20, N)},
        "given": {},
        "schedule": Schedule(epochs=2, lr=0.1, batch_size=8),  # batches of 8, 8 and 4
        "seed": 5,
        "device": torch.device("cpu"),
    }
    return Task(TaskConfig(**values | changes), x, torch.arange(N) % CLASSES)


def begun(task, **more):
    """A network, its optimizer and a loss with a parameter of its own, inside the first epoch."""
    net = task.net()
    scale = task.new("scale", lambda: nn.Linear(1, 1))
    state = {"net": net, "opt": task.optimizer(net), "scale": scale, "scale_opt": torch.optim.Adam(scale.parameters())}
    loop = task.epochs(**state, **more)
    assert next(loop) == 1
    return SimpleNamespace(**state, loop=loop)


def loss_of(task, made, ids):
    logits = made.net(task.x[ids])[0]
    return F.cross_entropy(logits, task.y[ids]) * made.scale.weight.square().sum(), logits


def weights(made):
    return [value.clone() for part in (made.net, made.scale) for value in part.state_dict().values()]


@pytest.fixture(autouse=True)
def same_dropout():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def by_hand():
    """One pass written out: weights, and what is recorded."""
    task = make_task()
    made = begun(task)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        losses, right = [], 0
        for ids in task.batches(task.ids["train"]):
            loss, logits = loss_of(task, made, ids)
            made.opt.zero_grad()
            made.scale_opt.zero_grad()
            loss.backward()
            made.opt.step()
            made.scale_opt.step()
            losses.append(loss.item() * len(ids))
            right += (logits.argmax(1) == task.y[ids]).sum().item()
    return weights(made), {"loss": sum(losses) / 20, "accuracy": right / 20}


def test_a_pass_is_the_loop_written_out(by_hand):
    """Bit for bit, with both optimizers, in train mode; means over records, not over batches."""
    task = make_task()
    made = begun(task)
    made.net.eval()
    torch.manual_seed(1)
    task.train_epoch(lambda ids: loss_of(task, made, ids))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights(made), by_hand[0], strict=True))
    assert list(made.loop) == [2]
    assert task.journal.history[0] == pytest.approx({"epoch": 1, "lr": 0.1, **by_hand[1]}, rel=1e-6)


def test_only_what_is_named_is_trained():
    """The others neither step nor change their mode, though the loss reaches them."""
    task = make_task()
    made = begun(task)
    made.net.eval()
    before = [value.clone() for value in made.net.state_dict().values()]
    task.train_epoch(lambda ids: loss_of(task, made, ids)[0], made.scale, made.scale_opt, name="scaled")
    assert all(torch.equal(*pair) for pair in zip(before, made.net.state_dict().values(), strict=True))
    assert not made.net.training
    assert made.scale_opt.state_dict()["state"][0]["step"] == 3
    list(made.loop)
    assert task.journal.history[0].keys() == {"epoch", "lr", "scaled"}


def test_gradients_of_a_pass_do_not_add_up():
    """Whatever was left in them before."""
    plain, littered = make_task(), make_task()
    for task in (plain, littered):
        made = begun(task)
        if task is littered:
            made.net.head.weight.grad = torch.full_like(made.net.head.weight, 7.0)
        made.net.encoder[2].p = 0.0
        task.train_epoch(lambda ids, task=task, made=made: loss_of(task, made, ids))
        task.trained = weights(made)
    assert all(torch.equal(*pair) for pair in zip(plain.trained, littered.trained, strict=True))


def test_other_batches_weigh_as_much_as_they_hold():
    task = make_task()
    made = begun(task)
    rows = [torch.arange(3), torch.arange(1)]
    seen = []

    def step(batch):
        seen.append(batch)
        return made.scale.weight.sum() * 0 + len(batch)

    task.train_epoch(step, batches=rows)
    assert seen == rows
    list(made.loop)
    assert task.journal.history[0]["loss"] == (3 * 3 + 1 * 1) / 4


def test_pairs_of_batches_weigh_the_same():
    task = make_task()
    made = begun(task)
    pairs = [(torch.arange(3), torch.arange(3)), (torch.arange(1), torch.arange(1))]
    task.train_epoch(lambda pair: made.scale.weight.sum() * 0 + len(pair[0]), batches=pairs)
    list(made.loop)
    assert task.journal.history[0]["loss"] == 2


def test_without_an_optimizer_nothing_would_be_trained():
    task = make_task()
    net = task.net()
    next(task.epochs(net=net))
    with pytest.raises(miabench.UserError, match=r"no optimizer to step: name it in task.epochs\(net=net, opt=opt\)"):
        task.train_epoch(lambda ids: net(task.x[ids])[0].sum())


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_is_in_eval_mode_and_leaves_the_mode(mode):
    task = make_task()
    net = task.net()
    net(torch.randn(64, DIMS))  # statistics that differ from a batch's
    x = torch.randn(2100, DIMS)
    net.eval()
    with torch.no_grad():
        expected = [torch.cat(column) for column in zip(*(net(piece) for piece in x.split(1024)), strict=True)]
    net.train(mode)
    sizes = []
    net.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    answers = task.evaluate(net, x)
    assert all(torch.equal(*pair) for pair in zip(answers, expected, strict=True))
    assert not any(answer.requires_grad for answer in answers)
    assert sizes == [1024, 1024, 52], "results are the same bits in pieces of this size only"
    assert all(module.training == mode for module in net.modules())


def test_what_stored_checkpoints_hold_of_a_task(tmp_path):
    """A training that was interrupted under an older version goes on."""
    folder = tmp_path / "checkpoint"
    made = begun(make_task(checkpoint=Checkpoint(folder, seconds=0)))
    list(made.loop)
    tree = json.loads((folder / "state.json").read_text())["tree"]["dict"]
    state = dict(dict(tree)["state"]["dict"])
    assert state.keys() == {"net", "opt", "scale", "scale_opt", "task"}
    assert [name for name, _ in state["task"]["dict"]] == ["history", "snapshots", "costs", "meter", "generators"]
