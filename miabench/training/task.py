"""Training one network: the task that a defense is given, and the loop that most defenses share.

Data stays on the training device, batches are index selections, and nothing inside a step waits for the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from miabench import seeds
from miabench.data.augmentation import crop_flip
from miabench.errors import TrainingError
from miabench.training.checkpoint import Checkpoint
from miabench.training.meter import CostMeter
from miabench.training.records import Records
from miabench.training.schedule import Schedule


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
    """

    build: Callable[[], nn.Module]
    num_classes: int
    ids: Mapping[str, Tensor]
    given: Mapping[str, nn.Module]
    schedule: Schedule
    seed: int
    device: torch.device
    augmentation: Literal["none", "crop-flip"] = "none"
    dtype: torch.dtype = torch.float32
    stop: int | None = None
    snapshots: frozenset[int] = frozenset()
    checkpoint: Checkpoint | None = None
    progress: Callable[[dict[str, float]], None] = field(default=lambda record: None)


class Task:
    """One network to be trained: what a defense's `fit` works with.

    Attributes:
        x: normalised inputs of the whole pool (N, ...), read-only: `x[ids]` is a new tensor on the device.
        y: classes (N,), on the device; a copy of its own, which may be changed.
        ids: pool rows of `"train"` (the members) and of every withheld part, on the device.
        given: the networks that `requires` named, in eval mode, on the device; a copy of its own.
        num_classes: C.
        schedule: epochs, learning rate and batch size.
        device: where everything lives.
        history: one record per finished epoch.
        snapshots: the network's weights after the epochs that were asked for.
        costs: what the training had cost by then.
        meter: counts the records that go through `net()` and `given`; `meter.watch(other)` adds another network.
    """

    def __init__(self, config: TaskConfig, x: Tensor, y: Tensor) -> None:
        self._config = config
        self.x = Records(x)
        self.y = y.clone()
        self.ids = {name: ids.to(config.device) for name, ids in config.ids.items()}
        self.given = dict(config.given)
        self.num_classes = config.num_classes
        self.schedule = config.schedule
        self.device = config.device
        self.history: list[dict[str, float]] = []
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        self.costs: dict[int, dict[str, float]] = {}
        self.meter = CostMeter()
        for net in self.given.values():
            self.meter.watch(net)
        self._generators: dict[str, torch.Generator] = {}
        self._scheduled: list[Optimizer] = []
        self._recorded: dict[str, Tensor | float] = {}
        self._begun = False

    def net(self) -> nn.Module:
        """A new network under this defense's architecture; the same initial weights at every call."""
        config = self._config
        with seeds.global_stream(config.seed, "weights"):
            net = config.build()
        self.meter.watch(net)
        return net.to(self.device, config.dtype)

    def new(self, purpose: str, make: Callable[[], nn.Module]) -> nn.Module:
        """Another module (a criterion, a second network), initialised from the stream of its purpose."""
        with seeds.global_stream(self._config.seed, purpose):
            module = make()
        return module.to(self.device, self._config.dtype)

    def optimizer(self, module: nn.Module) -> SGD:
        """The schedule's SGD for a module; `epochs` sets its learning rate."""
        schedule = self.schedule
        optimizer = SGD(
            module.parameters(),
            lr=schedule.lr,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
        self._scheduled.append(optimizer)
        return optimizer

    def generator(self, purpose: str) -> torch.Generator:
        """The random stream of a purpose, on the device; one per purpose, saved in checkpoints."""
        if purpose not in self._generators:
            self._generators[purpose] = seeds.generator(self._config.seed, purpose, self.device)
        return self._generators[purpose]

    def augment(self, x: Tensor) -> Tensor:
        """Train-time augmentation of a batch, as the dataset asks for; drawn per record."""
        if self._config.augmentation == "crop-flip":
            return crop_flip(x, self.generator("augmentation"))
        return x

    def epochs(self, **state: Any) -> Iterator[int]:
        """Epochs from 1: sets the learning rate before each, and checks, records and saves after it.

        Args:
            **state: all that changes during training, by name: modules, optimizers, generators, dicts of numbers.
                It is saved between epochs, and restored in place when an interrupted training is run again.
                Snapshots are taken of the module named `net`.

        Raises:
            TrainingError: a recorded value, or a weight of a module in `state`, is not finite.
        """
        checkpoint = None if self._begun else self._config.checkpoint
        self._begun = True
        first = checkpoint.restore({**state, "task": self}) + 1 if checkpoint else 1
        saved = time.monotonic()
        for epoch in range(first, (self._config.stop or self.schedule.epochs) + 1):
            for optimizer in self._scheduled:
                for group in optimizer.param_groups:
                    group["lr"] = self.schedule.lr_at(epoch)
            yield epoch
            self._finish(epoch, state)
            if checkpoint and time.monotonic() - saved >= checkpoint.seconds:
                checkpoint.save(epoch, {**state, "task": self})
                saved = time.monotonic()

    def batches(self, ids: Tensor, how: Literal["shuffle", "poisson", "in-order"] = "shuffle") -> Iterator[Tensor]:
        """Pool rows of one batch after another, for one pass over `ids`.

        `"poisson"` includes every record in every batch with probability batch_size / n, so batches vary in size
        and may be empty. Otherwise a last batch of one record joins the one before (BatchNorm needs two).
        """
        size, n = self.schedule.batch_size, len(ids)
        if how == "poisson":
            for _ in range(max(1, round(n / size))):
                draw = torch.rand(n, generator=self._order(ids), device=self.device)
                yield ids[draw < size / n]
            return
        if how == "shuffle":
            ids = ids[torch.randperm(n, generator=self._order(ids), device=self.device)]
        ends = list(range(size, n, size))
        if ends and n - ends[-1] == 1:
            ends.pop()
        yield from (ids[a:b] for a, b in zip([0, *ends], [*ends, n], strict=True))

    def _order(self, ids: Tensor) -> torch.Generator:
        """A stream per part, so that the order of the members is the same whatever else a defense draws."""
        part = next((name for name, own in self.ids.items() if own is ids), "other")
        return self.generator(f"order of {part}")

    def record(self, **values: Tensor | float) -> None:
        """Keep values (0-dim tensors or numbers) in this epoch's record; read from the device once an epoch."""
        self._recorded.update(values)

    def _finish(self, epoch: int, state: Mapping[str, Any]) -> None:
        record = {"epoch": epoch, "lr": self.schedule.lr_at(epoch), **self._read()}
        bad = [name for name, value in record.items() if not abs(value) < float("inf")]
        bad += [f"a weight of {name}" for name, part in state.items() if not _finite(part)]
        if bad:
            raise TrainingError(
                f"training diverged in epoch {epoch}: {bad[0]} is not finite; "
                f"a lower learning rate may help (it was {self.schedule.lr_at(epoch):g})"
            )
        self.history.append(record)
        if epoch in self._config.snapshots and isinstance(state.get("net"), nn.Module):
            self.snapshots[epoch] = {name: value.clone() for name, value in state["net"].state_dict().items()}
            self.costs[epoch] = self.meter.read()
        self._config.progress(record)

    def _read(self) -> dict[str, float]:
        if not self._recorded:
            return {}
        values = [torch.as_tensor(value, dtype=torch.float64, device=self.device) for value in self._recorded.values()]
        read = dict(zip(self._recorded, torch.stack(values).tolist(), strict=True))
        self._recorded = {}
        return read

    def state_dict(self) -> dict[str, Any]:
        """What the task itself changes, for checkpoints."""
        generators = {purpose: generator.get_state() for purpose, generator in self._generators.items()}
        return {
            "history": self.history,
            "snapshots": self.snapshots,
            "costs": self.costs,
            "meter": self.meter.state_dict(),
            "generators": generators,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.history = list(saved["history"])
        self.snapshots = dict(saved["snapshots"])
        self.costs = dict(saved["costs"])
        self.meter.load_state_dict(saved["meter"])
        for purpose, state in saved["generators"].items():
            self.generator(purpose).set_state(state)


def _finite(part: Any) -> bool:
    if not isinstance(part, nn.Module):
        return True
    checks = [p.isfinite().all() for p in part.parameters()]
    return not checks or bool(torch.stack(checks).all())
