"""Training a network: one artifact for every epoch after which it is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from safetensors.torch import save
from torch import Tensor, nn

from miabench import seeds
from miabench.data.pool import Data
from miabench.errors import UserError
from miabench.jobs.arithmetic import DTYPES, warm_up
from miabench.jobs.artifact import NewArtifact
from miabench.jobs.machine import environment
from miabench.jobs.resources import Resources
from miabench.jobs.specs import Job, TrainingSpec
from miabench.store.store import digest
from miabench.training.checkpoint import Checkpoint
from miabench.training.task import Task, TaskConfig


def train(
    job: Job,
    spec: TrainingSpec,
    resources: Resources,
    progress: Callable[[dict[str, float]], None],
    log: Callable[[], str],
) -> Iterator[NewArtifact]:
    """Train a network; it goes on from the checkpoint of a training that was interrupted.

    Args:
        job: the training.
        spec: its description.
        resources: what jobs share.
        progress: hears each epoch's record.
        log: gives what was printed meanwhile, which is kept beside the weights.
    """
    warm_up()
    store, data = resources.store, resources.pool(job.dataset, job.identity)
    wanted = {epoch: ref for epoch, ref in zip(job.snapshots, job.gives, strict=True) if not store.has_whole(ref)}
    unfinished = f"{job.key}-{digest(sorted(wanted))}"  # a state that lacks a wanted snapshot is of no use
    checkpoint = Checkpoint(store.room("checkpoints") / unfinished, resources.context.checkpoint_seconds)
    defense, build, capturable = resources.trained_by(spec, data)
    config = TaskConfig(
        build=build,
        num_classes=data.num_classes,
        augmentation=data.augmentation,
        ids={name: resources.rows(part.ids) for name, part in spec.parts.items()},
        given={name: partial(_network, resources, key, data) for name, key in spec.given.items()},
        answers={name: resources.answers(key) for name, key in spec.answers.items()},
        schedule=spec.schedule.model_copy(deep=True),
        seed=spec.seed,
        device=resources.device,
        dtype=DTYPES[spec.compute.precision],
        stop=max(wanted),
        snapshots=frozenset(wanted),
        checkpoint=checkpoint,
        progress=progress,
        capturable=capturable,
    )
    task = Task(config, resources.inputs(job, config.dtype), data.y.to(resources.device))
    with seeds.global_stream(spec.seed, "dropout"):
        net = defense.fit(task)
    if not isinstance(net, nn.Module):
        raise UserError(f"defense {spec.defense.name}: fit must return a network; it gave {type(net).__name__}")
    task.journal.snapshots[max(wanted)] = net.state_dict()
    task.journal.costs[max(wanted)] = task.meter.read()
    untrained = resources.untrained(spec, data)
    expected = untrained.state_dict()
    for epoch, ref in wanted.items():
        if epoch not in task.journal.snapshots:
            raise UserError(f"defense {spec.defense.name} keeps no snapshots: its fit gives task.epochs no net=")
        about = {
            "spec": spec.model_dump(mode="json"),
            "epoch": epoch,
            "cost": task.journal.costs[epoch] | {"workers": resources.context.workers},
            "parameters": sum(value.numel() for value in untrained.parameters() if value.requires_grad),
            **environment(resources.device),
        }
        _check_kind(task.journal.snapshots[epoch], expected, spec.defense.name)
        weights = {name: _plain(value) for name, value in task.journal.snapshots[epoch].items()}
        files = {
            "weights.safetensors": save(weights),
            "history.json": json.dumps(task.journal.history[:epoch]).encode(),
            "log.txt": log().encode(errors="replace"),
        }
        yield NewArtifact(ref, about, files)
    checkpoint.remove()


def _network(resources: Resources, key: str, data: Data) -> nn.Module:
    """A stored network, alone."""
    return resources.network(key, data)[0]


def _plain(value: Tensor) -> Tensor:
    """A copy of its own, in the common layout whatever layout it was trained in."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _check_kind(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], defense: str) -> None:
    """Refuse a network that nobody could load again: `fit` gave another than `task.net()` builds."""
    for name in dict.fromkeys((*expected, *state)):
        has, wanted = (_shape(weights, name) for weights in (state, expected))
        if has != wanted:
            raise UserError(
                f"defense {defense}: fit must return a network as task.net() builds it, which has {wanted} as {name}; "
                f"it gave one that has {has}"
            )


def _shape(state: Mapping[str, Tensor], name: str) -> str:
    return f"shape {tuple(state[name].shape)}" if name in state else "nothing"
