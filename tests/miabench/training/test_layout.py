"""Networks whose convolutions work channels last: nothing depends on how inputs or checkpoints lie in memory."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import miabench
from miabench.data.pool import Data
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training.checkpoint import Checkpoint
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

CONVOLUTIONAL = ["cnn", "vgg11", "resnet18", "resnet20", "densenet121", "googlenet", "wrn28-2"]
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def images(n=12, channels=3):
    pixels = torch.randint(0, 256, (n, channels, 32, 32), generator=torch.Generator().manual_seed(0))
    return Data(pixels.to(torch.uint8), torch.arange(n) % 3, ("a", "b", "c"), scale=1 / 255)


def built(name, data, defense="ce"):
    model, defense = discover().get("model", name).build({}), miabench.create_defense(defense)
    with global_stream(0, "weights"):
        return build_network(model, defense, data.domain)


def is_channels_last(tensor):
    return tensor.stride() == torch.empty(tensor.shape, memory_format=torch.channels_last).stride()


def test_models_with_2d_convolutions_are_channels_last():
    built_in = {one.name: one.load() for one in discover().all("model") if one.source == "built-in"}
    assert {name for name, model in built_in.items() if model.channels_last} == set(CONVOLUTIONAL)
    assert not miabench.Model.channels_last


@pytest.mark.parametrize("defense", ["ce", "dp-sgd"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kernel_and_activation_of_such_a_model_is_channels_last(defense, channels):
    data, seen = images(4, channels), []
    net = built("cnn", data, defense)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            assert is_channels_last(layer.weight)
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)):
            layer.register_forward_hook(lambda _layer, _x, out: seen.append(is_channels_last(out)))
    net(data.inputs(torch.arange(4), torch.device("cpu")))
    assert len(seen) > 8
    if defense == "ce":
        assert all(seen)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_gradients_are_the_same_bits_whatever_the_layout_of_the_inputs(name):
    data = images(4)
    net, x = built(name, data).train(), data.inputs(torch.arange(4), torch.device("cpu"))
    found = []
    for layout in LAYOUTS:
        net.zero_grad()
        with global_stream(0, "dropout"):
            F.cross_entropy(net(x.contiguous(memory_format=layout))[0], data.y).backward()
        found.append([p.grad.clone() for p in net.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def fit(data, layout=None, **changes):
    """A network trained on images, which augmentation gives in some layout."""
    defense = miabench.create_defense("ce")
    config = TaskConfig(
        build=partial(build_network, discover().get("model", "cnn").build({}), defense, data.domain),
        num_classes=data.num_classes,
        ids={"train": torch.arange(len(data))},
        given={},
        schedule=Schedule(epochs=5, lr=0.1, batch_size=4),
        seed=3,
        device=torch.device("cpu"),
        **changes,
    )
    task = Task(config, data.inputs(torch.arange(len(data)), config.device), data.y)
    if layout:
        task.augment = lambda x: x.contiguous(memory_format=layout)
    with global_stream(3, "dropout"):
        return defense.fit(task).state_dict()


def test_augmentation_that_permutes_the_layout_changes_no_bit_of_the_weights():
    first, *others = (fit(images(), layout) for layout in (None, *LAYOUTS))
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path):
    def stop_in_third(record):
        if record["epoch"] == 3:
            raise InterruptedError

    folder = tmp_path / "checkpoint"
    with pytest.raises(InterruptedError):
        fit(images(), checkpoint=Checkpoint(folder, seconds=0), progress=stop_in_third)
    _, tree = Checkpoint(folder).read()
    momenta = [one["momentum_buffer"] for one in tree["state"]["sgd"]["state"].values()]
    kernels = [momentum for momentum in momenta if momentum.dim() == 4]
    assert kernels
    assert all(map(is_channels_last, kernels))
    resumed, whole = fit(images(), checkpoint=Checkpoint(folder, seconds=0)), fit(images())
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("attack", ["grad-x", "grad-w"])
def test_gradient_norms_are_those_of_the_plain_layout(attack):
    data = images(5)
    net = built("cnn", data).double().eval()
    x = data.inputs(torch.arange(5), torch.device("cpu"), torch.float64)
    (probe,) = miabench.create_attack(attack).probes()
    last, plain = (
        probe.observe(net.to(memory_format=layout), x, data.y, None).exp().numpy() for layout in reversed(LAYOUTS)
    )
    np.testing.assert_allclose(last, plain, rtol=1e-9)
