"""Defenses that change what other trainings would share with them, each in its own way."""

import random
from types import SimpleNamespace

import numpy as np
import torch
from miabench.defenses.ce import CrossEntropy
from torch.nn import functional as F

from miabench import Train

KEPT = []  # what must outlive the training to do harm


def wrong_labels(task):
    task.y[:] = (task.y + 1) % task.num_classes


def batches(task):
    task.x[:].mul_(100)
    task.x[task.ids["train"]].data.mul_(100)
    task.x[:9].numpy()[0] = 5
    task.x[0].zero_()


def schedule(task):
    task.schedule.milestones[1] = 7.0


def networks(task):
    for p in task.given["start"].parameters():
        p.data.mul_(9)


def global_generators(task):
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)


def tensor_method(task):
    torch.Tensor.clone = lambda tensor, **kwargs: tensor


def functional(task):
    ours = F.cross_entropy
    F.cross_entropy = lambda *args, **kwargs: 2 * ours(*args, **kwargs)


def layer(task):
    forward = torch.nn.Linear.forward
    torch.nn.Linear.forward = lambda self, x: 2 * forward(self, x)


def inherited(task):
    relu = torch.nn.ReLU.forward
    torch.nn.ReLU.__call__ = lambda self, x: 2 * relu(self, x)


def numpy_name(task):
    np.sort = lambda x, axis=-1: x


def other_defense(task):
    CrossEntropy.criterion = lambda self, num_classes, feature_dim: None


def hook(task):
    torch.nn.modules.module.register_module_forward_hook(lambda net, x, answer: KEPT.append(net))


def inference(task):
    KEPT.append(torch.inference_mode())
    KEPT[-1].__enter__()


def draws(task):
    rows = random.sample(range(len(task.y)), len(task.y) // 2)
    task.y[rows] = torch.from_numpy(np.random.randint(task.num_classes, size=len(rows)))


def out_of_sight(task):
    """Where nobody looks: only a process of its own helps against this."""
    torch.nn.modules.linear.F = SimpleNamespace(linear=lambda x, w, b: 2 * F.linear(x, w, b))


def then_raises(task):
    torch.set_default_dtype(torch.float64)
    raise RuntimeError("my own mistake")


HOW = {
    "records": lambda task: task.x.mul_(100),
    "records_data": lambda task: task.x.data.mul_(100),
    "records_numpy": lambda task: task.x.numpy().fill(5),
    "records_set": lambda task: task.x.__setitem__(slice(None), 0),
    "dtype": lambda task: torch.set_default_dtype(torch.float64),
    "device": lambda task: torch.set_default_device("meta"),
    "gradients": lambda task: torch.set_grad_enabled(False),
    "threads": lambda task: torch.set_num_threads(3),
    "denormals": lambda task: torch.set_flush_denormal(True),
    "numpy_errors": lambda task: np.seterr(all="raise"),
    **{
        f.__name__: f
        for f in (
            *(wrong_labels, batches, schedule, networks, global_generators, draws, out_of_sight),
            *(tensor_method, functional, layer, inherited, numpy_name, other_defense, hook, inference, then_raises),
        )
    },
}


class Poison(CrossEntropy, frozen=True):
    """CE, after a change."""

    how: str

    def requires(self, role):
        return {"start": Train("ce")} if self.how == "networks" else {}

    def fit(self, task):
        HOW[self.how](task)
        return super().fit(task)
