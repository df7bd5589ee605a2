"""Replayed steps are those that were written: on CPUs with graphs that the tests make, on a GPU with its own."""

import pytest
import torch
from torch import nn

import miabench
from miabench.data.pool import Domain
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network, capturable
from miabench.training.criterion import Criterion
from miabench.training.replay import Replay
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

CPU = torch.device("cpu")
GPU = pytest.param(torch.device("cuda"), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))
PLUGINS = discover()
MODELS, DEFENSES = (
    [found.name for found in PLUGINS.all(kind) if found.source == "built-in" and found.load().capturable]
    for kind in ("model", "defense")
)
SMALL = {key: {"width": 0.25} for key in ("cnn", "resnet18", "resnet20")}
CHANGED = {"early-stopping": {"patience": 1}}
DOMAIN = Domain((3, 32, 32), 4)
N = 26


def trained(device, replayed, defense, model, epochs=3, members=22):
    """The network and its journal after some epochs of batches of 4, the last smaller."""
    if isinstance(defense, str):
        defense = PLUGINS.get("defense", defense).build(CHANGED.get(defense, {}))
    architecture = PLUGINS.get("model", model).build(SMALL.get(model, {}))
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(N, 3, 32, 32, generator=random), torch.arange(N) % 4
    config = TaskConfig(
        build=lambda: build_network(architecture, defense, DOMAIN),
        num_classes=4,
        ids={"train": torch.arange(members), "validation": torch.arange(22, N)},
        given={},
        schedule=Schedule(epochs=epochs, lr=0.02, milestones={2: 0.01}, batch_size=4),
        seed=3,
        device=device,
        augmentation="crop-flip",
        capturable=replayed,
    )
    task = Task(config, x.to(device), y.to(device))
    if replayed and device == CPU:
        task._replay = Replay(device, task._streams, task.meter)
    with miabench.seeds.global_stream(1, "dropout"):
        return defense.fit(task), task.journal


def same(one, other):
    (net, journal), (net_2, journal_2) = one, other
    return (
        all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), net_2.state_dict().values(), strict=True))
        and journal.history == journal_2.history
        and journal.meter.counted == journal_2.meter.counted
    )


@pytest.fixture(params=[CPU, GPU])
def device(request, monkeypatch):
    if request.param == CPU:
        request.getfixturevalue("graphs")
        monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda tensor: False))  # no shortcut is taken
    else:
        monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)  # as in a job
    return request.param


@pytest.mark.parametrize("defense", DEFENSES)
def test_a_defense_gives_the_same_weights(device, defense):
    assert same(trained(device, False, defense, "cnn"), trained(device, True, defense, "cnn"))


@pytest.mark.parametrize("model", MODELS)
def test_a_model_gives_the_same_weights(device, model):
    short = {"epochs": 1, "members": 12}
    assert same(trained(device, False, "ce", model, **short), trained(device, True, "ce", model, **short))


@pytest.mark.parametrize("mechanism", ["crop-flip", "cutout", "noise", "mixup"])
def test_augmented_records_differ_in_every_replay(device, mechanism):
    defense = miabench.create_defense("augmentation", mechanism=mechanism)
    assert same(trained(device, False, defense, "mlp"), trained(device, True, defense, "mlp"))


class Forgetful(Criterion):
    """Keeps a number in Python, which is what a recorded step must not do."""

    def __init__(self):
        super().__init__()
        self.step = 0

    def forward(self, logits, features, targets, epoch):
        self.step += 1
        return nn.functional.cross_entropy(logits, targets) * self.step


def test_what_must_not_be_recorded_gives_other_weights(graphs, monkeypatch):
    """So the tests above can fail."""
    defense = miabench.create_defense("ce")
    monkeypatch.setattr(type(defense), "criterion", lambda self, *sizes: Forgetful())
    assert not same(trained(CPU, False, defense, "mlp"), trained(CPU, True, defense, "mlp"))


def test_one_graph_an_epoch_takes_all_full_batches_but_the_first(graphs):
    _, journal = trained(CPU, True, "crl", "mlp", epochs=4)
    assert [graph.replays for graph in graphs[1:]] == [4] * 4  # 22 records: 5 batches of 4, one of 2
    assert {len(graph.generators) for graph in graphs[1:]} == {3}  # order of the members, both augmentations
    assert journal.meter.counted == (88, 88)


@pytest.mark.parametrize(("free", "recorded"), [([40] * 3, 3), ([39] * 3, 0), ([39, 40, 0], 2)])
def test_an_epoch_without_room_for_a_second_set_of_activations_is_taken_as_written(graphs, monkeypatch, free, recorded):
    """A step took 40 bytes for a while; once a graph has them, later ones use its."""
    left = iter(free)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (next(left), 100))
    assert same(trained(CPU, False, "crl", "mlp"), trained(CPU, True, "crl", "mlp"))
    assert len(graphs[1:]) == recorded


def test_a_part_that_does_not_say_so_is_not_recorded():
    class Mine(type(miabench.create_defense("crl")), frozen=True):
        """Made from a built-in one."""

    get = {name: PLUGINS.get("model", name).build({}) for name in ("cnn", "han")}
    crl, dmp = miabench.create_defense("crl"), miabench.create_defense("dmp")
    assert capturable(get["cnn"], crl)
    assert not any(capturable(*pair) for pair in [(get["cnn"], dmp), (get["han"], crl), (get["cnn"], Mine())])
