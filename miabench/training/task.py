"""Training one network: the task that a defense is given.

Data stays on the training device, batches are index selections, and nothing inside a step waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from miabench import seeds
from miabench.data.augmentation import crop_flip
from miabench.errors import UserError
from miabench.training.batches import How, batches
from miabench.training.checkpoint import Checkpoint
from miabench.training.classifier import evaluate
from miabench.training.descent import Step, descend
from miabench.training.given import Given, Load
from miabench.training.journal import Journal
from miabench.training.records import Records
from miabench.training.replay import Replay
from miabench.training.schedule import Schedule
from miabench.training.sgd import SGD
from miabench.training.streams import Streams


@dataclass(frozen=True)
class TaskConfig:
    """What a task is made of; see `Task` for the meaning of each.

    Attributes:
        build: makes the network, as the model and the defense's `architecture` have it.
        num_classes: C.
        augmentation: the dataset's, see `miabench.data.augmentation`.
        stop: train through this epoch of the schedule.
        snapshots: epochs after which the network is kept.
        checkpoint: where the state is kept between epochs, or None.
        progress: called with each epoch's record.
        answers: (N, C) by name; see `Task.answers_of`.
        capturable: whether steps may be recorded, see `Defense` and `Model`.
    """

    build: Callable[[], nn.Module]
    num_classes: int
    ids: Mapping[str, Tensor]
    given: Mapping[str, Load]
    schedule: Schedule
    seed: int
    device: torch.device
    augmentation: Literal["none", "crop-flip"] = "none"
    dtype: torch.dtype = torch.float32
    stop: int | None = None
    snapshots: frozenset[int] = frozenset()
    checkpoint: Checkpoint | None = None
    progress: Callable[[dict[str, float]], None] = field(default=lambda record: None)
    answers: Mapping[str, Tensor] = field(default_factory=dict)
    capturable: bool = False


class Task:
    """One network to be trained: what a defense's `fit` works with.

    Attributes:
        x: normalised inputs of the whole pool (N, ...), read-only: `x[ids]` is a new tensor on the device.
        y: classes (N,), on the device; a copy of its own, which may be changed.
        ids: pool rows of `"train"` (the members) and of every withheld part, on the device.
        given: the networks that `requires` named, in eval mode, on the device, copies of its own; each is loaded when
            it is used. `given.once(name)` keeps none: of many that are asked one after another, one takes memory.
        answers_of: of an attacker's copy: the logits (N, C) that the model `"original"` serves for the whole pool, on
            the device.
        num_classes: C.
        schedule: epochs, learning rate and batch size.
        device: where everything lives.
        meter: counts the records that go through `net()` and `given`; `meter.watch(other)` adds another network.
        journal: what the engine keeps of the training; no business of a defense.
    """

    def __init__(self, config: TaskConfig, x: Tensor | Records, y: Tensor) -> None:
        self._config = config
        self.x = x if isinstance(x, Records) else Records(x)
        self.y = y.clone()
        self.ids = {name: ids.to(config.device) for name, ids in config.ids.items()}
        self.answers_of = {name: logits.to(config.device, config.dtype) for name, logits in config.answers.items()}
        self.num_classes = config.num_classes
        self.schedule = config.schedule
        self.device = config.device
        self._streams = Streams(config.seed, config.device)
        self.journal = Journal(self._streams, config.snapshots, config.checkpoint, config.progress)
        self.meter = self.journal.meter
        self.given = Given(config.given, self.meter.watch)
        recorded = config.capturable and config.device.type == "cuda"
        self._replay = Replay(config.device, self._streams, self.meter) if recorded else None
        self._scheduled: list[Optimizer] = []
        self._trained: tuple[Any, ...] = ()

    def net(self) -> nn.Module:
        """A new network under this defense's architecture; the same initial weights at every call."""
        with seeds.global_stream(self._config.seed, "weights"):
            net = self._config.build()
        self.meter.watch(net)
        return net.to(self.device, self._config.dtype)

    def new(self, purpose: str, make: Callable[[], nn.Module]) -> nn.Module:
        """Another module (a criterion, a second network), initialised from the stream of its purpose."""
        with seeds.global_stream(self._config.seed, purpose):
            module = make()
        return module.to(self.device, self._config.dtype)

    def optimizer(self, module: nn.Module) -> SGD:
        """The schedule's SGD for a module; `epochs` sets its learning rate."""
        schedule = self.schedule
        sgd = SGD(module.parameters(), schedule.lr, schedule.momentum, schedule.weight_decay)
        self._scheduled.append(sgd)
        return sgd

    def generator(self, purpose: str) -> torch.Generator:
        """The random stream of a purpose, on the device; one per purpose, saved in checkpoints."""
        return self._streams.generator(purpose)

    def role_generator(self, purpose: str) -> torch.Generator:
        """What `Role.generator` gave `requires` for a purpose: the same CPU stream, from its beginning."""
        return seeds.generator(self._config.seed, purpose)

    def augment(self, x: Tensor) -> Tensor:
        """Train-time augmentation of a batch, as the dataset asks for; drawn per record."""
        return crop_flip(x, self.generator("augmentation")) if self._config.augmentation == "crop-flip" else x

    def epochs(self, **state: Any) -> Iterator[int]:
        """Epochs from 1: sets the learning rate before each, and checks, records and saves after it.

        Args:
            **state: all that changes during training, by name: modules, optimizers, generators, dicts of numbers.
                It is saved between epochs, and restored in place when an interrupted training is run again.
                Snapshots are taken of the module named `net`.

        Raises:
            TrainingError: a recorded value, or a weight of a module in `state`, is not finite.
        """
        self._trained = tuple(state.values())
        for epoch in range(self.journal.begin(state) + 1, (self._config.stop or self.schedule.epochs) + 1):
            lr = self.schedule.lr_at(epoch)
            for group in (group for optimizer in self._scheduled for group in optimizer.param_groups):
                group["lr"] = lr
            yield epoch
            self.journal.end_epoch(epoch, lr, state)

    def batches(self, ids: Tensor, how: How = "shuffle") -> Iterator[Tensor]:
        """Pool rows of one batch after another, for one pass over `ids`: see `miabench.training.batches`.

        There is a stream per part, so that the order of the members is the same whatever else a defense draws.
        """
        part = next((name for name, own in self.ids.items() if own is ids), "other")
        return batches(ids, self.schedule.batch_size, how, self.generator(f"order of {part}"))

    def train_epoch(self, step: Step, *trained: Any, batches: Iterable[Any] | None = None, name: str = "loss") -> None:
        """One pass of training inside `epochs`: on every batch the optimizers step down the gradient of its loss.

        A defense whose batches need more than one such step writes its loop with `batches` and `record` instead.

        Args:
            step: from a batch to its loss, the mean over its records; or to (loss, logits (B, C)).
            *trained: the modules that are put in train mode and the optimizers that step; by default all that `epochs`
                was told.
            batches: tensors of rows (B,), by default of the members; or whatever else `step` takes. In the epoch's
                mean each weighs as much as its `len`.
            name: under which the mean loss is recorded; beside it, where `step` gives logits of members, `accuracy`:
                the share whose own class has the largest.
        """
        parts = trained or self._trained
        optimizers = [part for part in parts if isinstance(part, Optimizer)]
        if not optimizers:
            raise UserError("task.train_epoch has no optimizer to step: name it in task.epochs(net=net, opt=opt)")
        for module in (part for part in parts if isinstance(part, nn.Module)):
            module.train()
        chosen = self.batches(self.ids["train"]) if batches is None else batches
        means = descend(step, chosen, optimizers, self.y, self._replay)
        self.record(**{name: means.pop("loss")}, **means)

    def evaluate(self, net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """What `net` answers to inputs x (n, ...) in eval mode: logits (n, C), features (n, D); without gradients."""
        return evaluate(net, x)

    def record(self, **values: Tensor | float) -> None:
        """Keep values (0-dim tensors or numbers) in this epoch's record; read from the device once an epoch."""
        self.journal.record(values)
