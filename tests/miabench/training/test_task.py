"""The shared loop: equal to the reference step by step, reproducible, and able to go on after an interruption."""

import math
import random
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training import batches
from miabench.training.checkpoint import Checkpoint
from miabench.training.classifier import Classifier
from miabench.training.loop import train_with_criterion
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig


class TinyModel(miabench.Model, frozen=True):
    """q = tanh(f(x)), logits = c(q), with dropout where asked."""

    hidden: int = 4
    dropout: float = 0.0

    def build(self, domain):
        encoder = nn.Sequential(nn.Linear(*domain.shape, self.hidden), nn.Tanh(), nn.Dropout(self.dropout))
        return Classifier(encoder, nn.Linear(self.hidden, domain.num_classes), self.hidden)


class InOrder(Task):
    """The reference trajectory takes the records as they come."""

    def batches(self, ids, how="in-order"):
        return super().batches(ids, how="in-order")


@dataclass(frozen=True)
class WithData(TaskConfig):
    defense: miabench.Defense | None = None
    data: Data | None = None


def setting(data, **changes):
    values = {
        "defense": miabench.create_defense("crl"),
        "model": TinyModel(),
        "data": data,
        "ids": {"train": torch.arange(len(data))},
        "given": {},
        "schedule": Schedule(epochs=4, lr=0.2, batch_size=6),
        "seed": 7,
        "device": torch.device("cpu"),
    }
    values |= changes
    build = partial(build_network, values.pop("model"), values["defense"], data.domain)
    return WithData(build=build, num_classes=data.num_classes, **values)


def task_for(made, kind=Task):
    data = made.data
    return kind(made, data.inputs(torch.arange(len(data)), made.device, made.dtype), data.y)


def toy(n=26, noise=1.0):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    return Data(torch.eye(3, 5)[y] + noise * torch.randn(n, 5, generator=generator), y, ("a", "b", "c"))


def fit(made):
    task = task_for(made)
    with global_stream(made.seed, "dropout"):
        return made.defense.fit(task), task


def test_equal_to_the_reference_trajectory(golden):
    reference = golden("i_trajectories")
    arrays, crl = reference.arrays, reference.json["crl"]
    data = Data(torch.tensor(arrays["X"]), torch.tensor(arrays["Y"]), ("a", "b", "c"))
    names = {
        "f.weight": "encoder.0.weight",
        "f.bias": "encoder.0.bias",
        "c.weight": "head.weight",
        "c.bias": "head.bias",
    }
    given = crl["loss_params"]
    defense = miabench.create_defense(
        "crl", alpha_rce=given["alpha"], tau_rce=given["t"], alpha_rcl=given["alpha_cl"], tau_rcl=given["t_cl"],
        lambda_rcl=given["lambda"], center_lr=given["lr_c"],
    )  # fmt: skip
    made = setting(data, defense=defense, dtype=torch.float64, snapshots=frozenset({1, 2, 3, 4}))
    task = task_for(made, InOrder)
    net = task.net()
    net.load_state_dict({ours: torch.tensor(arrays[f"crl.init.{theirs}"]) for theirs, ours in names.items()})
    task.net = lambda: net
    criteria = []

    def with_centers(num_classes, feature_dim):
        criterion = defense.criterion(num_classes, feature_dim)
        criterion.centers.data = torch.tensor(arrays["crl.init.centers"])
        criteria.append(criterion)
        return criterion

    train_with_criterion(task, with_centers)
    for epoch in range(1, 5):
        for theirs, ours in names.items():
            np.testing.assert_allclose(
                task.journal.snapshots[epoch][ours], arrays[f"crl.epoch{epoch - 1}.{theirs}"], rtol=1e-8, atol=1e-12
            )
        # the three batches are equally large, so the epoch's loss is the mean of theirs
        losses = crl["losses_per_epoch"][epoch - 1]
        assert task.journal.history[epoch - 1]["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    np.testing.assert_allclose(criteria[0].centers.detach(), arrays["crl.epoch3.centers"], rtol=1e-8)


def test_same_seed_same_weights_and_another_seed_others():
    first, again, other = (fit(setting(toy(), seed=seed))[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_all_defenses_start_from_the_same_weights_and_see_the_same_order():
    tasks = [task_for(setting(toy(), defense=miabench.create_defense(name))) for name in ("ce", "crl")]
    first, second = (task.net().state_dict() for task in tasks)
    assert all(torch.equal(first[name], second[name]) for name in first)
    tasks[1].generator("noise").seed()  # what else a defense draws changes nothing
    orders = [torch.cat(list(task.batches(task.ids["train"]))) for task in tasks]
    assert torch.equal(*orders)
    assert not torch.equal(orders[0], torch.arange(26))


def test_records_loss_accuracy_and_branches_per_epoch():
    _, task = fit(setting(toy()))
    assert [record["epoch"] for record in task.journal.history] == [1, 2, 3, 4]
    assert {"loss", "accuracy", "lr", "rce_fit", "rce_hold", "rce_soften", "rcl_fit"} <= set(task.journal.history[0])
    assert [record["rce_hold"] for record in task.journal.history] == [0, 1, 0, 1]


def test_the_learning_rate_follows_the_milestones():
    schedule = Schedule(epochs=4, lr=0.2, milestones={3: 0.01, 1: 0.1}, batch_size=6)
    task = task_for(setting(toy(), schedule=schedule))
    optimizer = task.optimizer(task.net())
    seen = [optimizer.param_groups[0]["lr"] for _ in task.epochs()]
    assert seen == [0.2, 0.1, 0.1, 0.01]


@pytest.mark.parametrize(("n", "sizes"), [(12, [6, 6]), (13, [6, 7]), (14, [6, 6, 2]), (1, [1]), (7, [7])])
def test_a_last_batch_of_one_joins_the_one_before(n, sizes):
    task = task_for(setting(toy()))
    batches = list(task.batches(torch.arange(n)))
    assert [len(batch) for batch in batches] == sizes
    assert sorted(torch.cat(batches).tolist()) == list(range(n))


def test_poisson_batches_include_each_record_independently():
    task = task_for(setting(toy(26), schedule=Schedule(epochs=1, batch_size=2)))
    batches = [batch for _ in range(300) for batch in task.batches(task.ids["train"], how="poisson")]
    assert len(batches) == 300 * 13
    sizes = np.array([len(batch) for batch in batches])
    p = 2 / 26
    assert sizes.mean() == pytest.approx(26 * p, abs=5 * math.sqrt(26 * p * (1 - p) / len(sizes)))
    assert (sizes == 0).mean() == pytest.approx((1 - p) ** 26, abs=0.03)
    counts = np.bincount(torch.cat(batches), minlength=26) / len(batches)
    np.testing.assert_allclose(counts, p, atol=5 * math.sqrt(p / len(batches)))


@pytest.mark.parametrize("at_once", [1, 26 * 5, 2**26])
def test_poisson_batches_are_the_same_however_many_are_drawn_at_once(at_once, monkeypatch):
    monkeypatch.setattr(batches, "DRAWS_AT_ONCE", at_once)
    ids = torch.arange(100, 126)
    found = list(batches.batches(ids, 2, "poisson", torch.Generator().manual_seed(3)))
    random = torch.Generator().manual_seed(3)
    expected = [ids[torch.rand(26, generator=random) < 2 / 26] for _ in range(13)]
    assert [batch.tolist() for batch in found] == [batch.tolist() for batch in expected]


def test_divergence_is_one_clear_error():
    made = setting(
        toy(noise=1e3), schedule=Schedule(epochs=50, lr=1e9, batch_size=6), defense=miabench.create_defense("ce")
    )
    with pytest.raises(
        miabench.TrainingError, match=r"training diverged in epoch \d+: .* is not finite; a lower learning"
    ):
        fit(made)


@pytest.mark.parametrize("values", [[math.inf], [-math.inf], [math.nan], [math.inf, -math.inf]])
def test_weights_that_are_not_finite_are_told(values):
    task = task_for(setting(toy()))
    net = task.net()
    net.encoder[0].weight.data[2, : len(values)] = torch.tensor(values)
    with pytest.raises(miabench.TrainingError, match=r"diverged in epoch 1: a weight of net is not finite"):
        list(task.epochs(net=net))


@pytest.mark.parametrize(
    ("dtype", "value"), [(torch.float32, 3e38), (torch.float16, 6e4), (torch.bfloat16, 3e38), (torch.int64, 2**40)]
)
def test_finite_weights_may_have_any_sum(dtype, value):
    task = task_for(setting(toy()))
    net = task.net()
    net.mask = nn.Parameter(torch.full((4, 4), value, dtype=dtype), requires_grad=False)
    assert list(task.epochs(net=net))


def test_a_criterion_must_be_one():
    class Wrong(miabench.Defense, frozen=True):
        def criterion(self, num_classes, feature_dim):
            return nn.CrossEntropyLoss()

    with pytest.raises(miabench.UserError, match=r"criterion must be a miabench.Criterion; it is a CrossEntropyLoss"):
        fit(setting(toy(), defense=Wrong()))


@pytest.mark.parametrize("name", ["ce", "crl", "relaxloss"])
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path, name):
    defense = miabench.create_defense(name)
    schedule = Schedule(epochs=6, lr=0.2, milestones={4: 0.02}, batch_size=6)
    common = {"model": TinyModel(dropout=0.3), "defense": defense, "schedule": schedule, "snapshots": frozenset({2, 6})}
    whole_net, whole = fit(setting(toy(), **common))
    epochs_run = []

    def stop_in_fourth(record):
        epochs_run.append(record["epoch"])
        if len(epochs_run) == 4:
            raise InterruptedError

    checkpoint = Checkpoint(tmp_path / "checkpoint", seconds=0)
    interrupted = setting(toy(), **common, checkpoint=checkpoint, progress=stop_in_fourth)
    with pytest.raises(InterruptedError):
        fit(interrupted)
    net, resumed = fit(interrupted)
    assert epochs_run == [1, 2, 3, 4, 4, 5, 6], "epochs before the last checkpoint are not repeated"
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in whole_net.state_dict().items())
    kept, again = whole.journal.snapshots[2], resumed.journal.snapshots[2]
    assert all(torch.equal(value, again[key]) for key, value in kept.items())
    assert resumed.journal.history == whole.journal.history
    checkpoint.remove()
    assert not checkpoint.folder.exists()


@pytest.mark.parametrize(("epoch_takes", "saved_at"), [(1, 60), (50, 50), (25, 50), (90, 90)])
def test_no_more_is_lost_than_a_minute_or_an_epoch(tmp_path, monkeypatch, epoch_takes, saved_at):
    """States are saved as rarely as that allows."""
    now, saved = [0.0], []
    monkeypatch.setattr("miabench.training.journal.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Checkpoint, "save", lambda self, epoch, state: saved.append(now[0]))
    monkeypatch.setattr(Checkpoint, "restore", lambda self, state: 0)

    def progress(record):
        now[0] += epoch_takes

    schedule = Schedule(epochs=130 // epoch_takes, batch_size=64)
    fit(setting(toy(), schedule=schedule, checkpoint=Checkpoint(tmp_path / "c"), progress=progress))
    assert saved[0] == saved_at
    assert all(after - before <= max(60, epoch_takes) for before, after in pairwise([0, *saved]))


def test_a_run_that_is_to_end_saves_the_epoch_that_is_done(tmp_path):
    whole, _ = fit(setting(toy()))
    epochs_run = []

    def stop_in_second(record):
        epochs_run.append(record["epoch"])
        if len(epochs_run) == 2:
            raise KeyboardInterrupt

    config = setting(toy(), checkpoint=Checkpoint(tmp_path / "c"), progress=stop_in_second)
    with pytest.raises(KeyboardInterrupt):
        fit(config)
    net, _ = fit(config)
    assert epochs_run[:3] == [1, 2, 3]
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A training's state after its second epoch, what it gives when it is not interrupted, and how to go on."""
    folder = tmp_path_factory.mktemp("training") / "checkpoint"
    whole, _ = fit(setting(toy()))
    epochs_run = []

    def stop_in_third(record):
        if record["epoch"] == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(setting(toy(), checkpoint=Checkpoint(folder, seconds=0), progress=stop_in_third))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    def go_on():
        epochs_run.clear()
        progress = lambda record: epochs_run.append(record["epoch"])  # noqa: E731
        net, _ = fit(setting(toy(), checkpoint=Checkpoint(folder, seconds=60), progress=progress))
        same = all(torch.equal(value, net.state_dict()[key]) for key, value in whole.state_dict().items())
        return same, list(epochs_run)

    def put(**changed):
        folder.mkdir(exist_ok=True)
        for name, content in (files | changed).items():
            (folder / name).write_bytes(content)

    return SimpleNamespace(files=files, folder=folder, go_on=go_on, put=put)


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "checksums.json"])
def test_a_damaged_checkpoint_is_dropped_and_the_training_starts_again(interrupted, capsys, name):
    content = interrupted.files[name]
    interrupted.put()
    assert interrupted.go_on() == (True, [3, 4])
    assert "damaged" not in capsys.readouterr().out
    flips = [content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :] for at in spread(len(content), 8)]
    for damaged in [*flips, *(content[:size] for size in (0, len(content) // 2, len(content) - 1)), content + b" "]:
        interrupted.put(**{name: damaged})
        assert interrupted.go_on() == (True, [1, 2, 3, 4])
        said = capsys.readouterr().out
        assert (
            said == f"the checkpoint {interrupted.folder} is damaged: the training starts again from its first epoch\n"
        )
        assert not interrupted.folder.exists()


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "checksums.json"])
def test_a_checkpoint_without_one_of_its_files_is_dropped(interrupted, name):
    interrupted.put()
    (interrupted.folder / name).unlink()
    assert interrupted.go_on() == (True, [1, 2, 3, 4])


def spread(size, count):
    """Positions over the whole of a file, its first and last byte among them."""
    return sorted({0, 8, size - 1, *range(0, size, max(1, size // count))})


class Drawing(miabench.Defense, frozen=True):
    """Draws from the global generators of Python and numpy in every epoch."""

    def fit(self, task):
        net = task.net()
        for _ in task.epochs(net=net):
            task.record(python=random.gauss(), numpy=np.random.randn())
        return net


def test_an_interrupted_training_goes_on_with_the_global_generators(tmp_path):
    common = {"defense": Drawing(), "schedule": Schedule(epochs=5, lr=0.2, batch_size=6)}
    _, whole = fit(setting(toy(), **common))

    def stop_in_third(record):
        if record["epoch"] == 3 and not resumed:
            raise InterruptedError

    resumed = []
    interrupted = setting(toy(), **common, checkpoint=Checkpoint(tmp_path / "c", seconds=0), progress=stop_in_third)
    with pytest.raises(InterruptedError):
        fit(interrupted)
    resumed.append(True)
    assert fit(interrupted)[1].journal.history == whole.journal.history


def test_stopping_early_gives_the_snapshot_of_the_whole_training():
    short, _ = fit(setting(toy(), stop=2))
    _, whole = fit(setting(toy(), snapshots=frozenset({2})))
    assert all(torch.equal(value, whole.journal.snapshots[2][key]) for key, value in short.state_dict().items())


def test_costs_are_counted_and_survive_an_interruption(tmp_path):
    _, task = fit(setting(toy(), snapshots=frozenset({2, 4})))
    costs = task.journal.costs | {4: task.meter.read()}
    assert (costs[2]["forwarded"], costs[4]["forwarded"]) == (52, 104)
    assert (costs[2]["differentiated"], costs[4]["differentiated"]) == (52, 104)
    assert 0 < costs[2]["cpu_seconds"] <= costs[4]["cpu_seconds"]
    with torch.no_grad():
        task.net()(task.x[:5])
    counted = task.meter.read()
    assert (counted["forwarded"], counted["differentiated"]) == (109, 104)

    def stop_in_third(record):
        if record["epoch"] == 3:
            raise InterruptedError

    checkpoint = Checkpoint(tmp_path / "checkpoint", seconds=0)
    with pytest.raises(InterruptedError):
        fit(setting(toy(), checkpoint=checkpoint, progress=stop_in_third))
    _, resumed = fit(setting(toy(), checkpoint=checkpoint))
    assert resumed.meter.read()["forwarded"] == 104
