"""What the engine keeps of a training while a defense's `fit` runs: nothing here decides what is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from miabench.errors import TrainingError
from miabench.training.checkpoint import Checkpoint
from miabench.training.meter import CostMeter
from miabench.training.streams import Streams


class Journal:
    """History, snapshots and costs of one training, and the checkpoint that it goes on from.

    Args:
        streams: of the training, saved with the rest.
        snapshots: epochs after which the module named `net` is kept.
        checkpoint: where the state is kept between epochs, or None.
        progress: called with each epoch's record.

    Attributes:
        history: one record per finished epoch.
        snapshots: the network's weights after the epochs that were asked for.
        costs: what the training had cost by then.
        meter: counts the records that go through watched networks.
    """

    def __init__(
        self,
        streams: Streams,
        snapshots: frozenset[int],
        checkpoint: Checkpoint | None,
        progress: Callable[[dict[str, float]], None],
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        self.costs: dict[int, dict[str, float]] = {}
        self.meter = CostMeter()
        self._streams = streams
        self._wanted = snapshots
        self._unused_checkpoint = checkpoint
        self._checkpoint: Checkpoint | None = None
        self._progress = progress
        self._recorded: dict[str, Tensor | float] = {}

    def begin(self, state: Mapping[str, Any]) -> int:
        """Begin a loop over epochs, and put a saved state back in place; the epoch that it was saved after, or 0.

        Only the first loop of a training is saved.
        """
        self._checkpoint, self._unused_checkpoint = self._unused_checkpoint, None
        self._saved_at = self._ended_at = time.monotonic()
        return self._checkpoint.restore(self._all(state)) if self._checkpoint else 0

    def record(self, values: Mapping[str, Tensor | float]) -> None:
        """Keep values (0-dim tensors or numbers) in this epoch's record; read from the device once an epoch."""
        self._recorded.update(values)

    def end_epoch(self, epoch: int, lr: float, state: Mapping[str, Any]) -> None:
        """Check and keep what an epoch has given, and save the state from time to time.

        Args:
            epoch: that has ended.
            lr: its learning rate.
            state: all that changes during training, by name.

        Raises:
            TrainingError: a recorded value, or a weight of a module in `state`, is not finite.
            KeyboardInterrupt: `progress` says so, for the run is to end: the state is saved before.
        """
        record = {"epoch": epoch, "lr": lr, **self._read()}
        bad = [name for name, value in record.items() if not abs(value) < float("inf")]
        bad += [f"a weight of {name}" for name, part in state.items() if not _finite(part)]
        if bad:
            raise TrainingError(
                f"training diverged in epoch {epoch}: {bad[0]} is not finite; "
                f"a lower learning rate may help (it was {lr:g})"
            )
        self.history.append(record)
        if epoch in self._wanted and isinstance(state.get("net"), nn.Module):
            self.snapshots[epoch] = {name: value.clone() for name, value in state["net"].state_dict().items()}
            self.costs[epoch] = self.meter.read()
        try:
            self._progress(record)
        except KeyboardInterrupt:
            self._save(epoch, state)
            raise
        now = time.monotonic()
        took, self._ended_at = now - self._ended_at, now
        if self._checkpoint and now - self._saved_at + took > self._checkpoint.seconds:  # the next epoch ends too late
            self._save(epoch, state)

    def _save(self, epoch: int, state: Mapping[str, Any]) -> None:
        if self._checkpoint:
            self._checkpoint.save(epoch, self._all(state))
            self._saved_at = time.monotonic()

    def _all(self, state: Mapping[str, Any]) -> dict[str, Any]:
        return {**state, "task": self}  # the name under which stored checkpoints have it

    def _read(self) -> dict[str, float]:
        recorded, self._recorded = self._recorded, {}
        if not recorded:
            return {}
        values = [
            torch.as_tensor(value, dtype=torch.float64, device=self._streams.device) for value in recorded.values()
        ]
        return dict(zip(recorded, torch.stack(values).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """What changes in the journal and the streams, for checkpoints."""
        return {
            "history": self.history,
            "snapshots": self.snapshots,
            "costs": self.costs,
            "meter": self.meter.state_dict(),
            "generators": self._streams.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.history = list(saved["history"])
        self.snapshots = dict(saved["snapshots"])
        self.costs = dict(saved["costs"])
        self.meter.load_state_dict(saved["meter"])
        self._streams.load_state_dict(saved["generators"])


def _finite(part: Any) -> bool:
    if not isinstance(part, nn.Module):
        return True
    weights = [p.detach() for p in part.parameters()]
    sums = [weight.sum().float() for weight in weights]  # not finite where a weight is not, and sooner told
    if not sums or bool(torch.stack(sums).isfinite().all()):
        return True
    return all(bool(weight.isfinite().all()) for weight in weights)  # a sum may be too large
