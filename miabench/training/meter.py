"""What a training costs: seconds, and records sent through networks forwards and backwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

COSTS = ("seconds", "cpu_seconds", "forwarded", "differentiated")


class CostMeter:
    """Runs from its making; goes on from where an interrupted training was saved.

    `forwarded` counts the records that any watched network answered (or made, as a GAN's generator does),
    `differentiated` those for which a gradient could be taken. A task watches its networks and those it is given.
    Networks that see no records but other networks' answers are not watched: the seconds tell their cost. Counting
    reads shapes only: it never waits for the device.

    Attributes:
        counted: both, since the meter was made or went on from a saved cost.
    """

    def __init__(self) -> None:
        self._before = dict.fromkeys(COSTS, 0.0)
        self._restart()

    def _restart(self) -> None:
        self._begun = time.monotonic()
        self._begun_cpu = time.process_time()
        self.counted = (0, 0)

    def watch(self, *nets: nn.Module) -> None:
        """Count what goes through networks."""
        for net in nets:
            net.register_forward_pre_hook(self._count)

    def _count(self, net: nn.Module, inputs: tuple[Any, ...]) -> None:
        import torch  # here, so that a report, which only reads costs, starts without it

        self.add((len(inputs[0]), len(inputs[0]) if torch.is_grad_enabled() else 0))

    def add(self, more: tuple[int, int]) -> None:
        """Count more records: sent forwards, and those of them for which a gradient could be taken."""
        self.counted = (self.counted[0] + more[0], self.counted[1] + more[1])

    def read(self) -> dict[str, float]:
        """The cost so far, by the names in COSTS."""
        now = (
            time.monotonic() - self._begun,
            time.process_time() - self._begun_cpu,
            *self.counted,
        )
        return {name: self._before[name] + value for name, value in zip(COSTS, now, strict=True)}

    def state_dict(self) -> dict[str, float]:
        """The cost so far, for checkpoints."""
        return self.read()

    def load_state_dict(self, saved: dict[str, float]) -> None:
        """Go on from a saved cost."""
        self._before = dict(saved)
        self._restart()
