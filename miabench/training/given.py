"""The networks that a training starts from, each loaded when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from torch import nn

Load: TypeAlias = Callable[[], nn.Module]


class Given(Mapping[str, nn.Module]):
    """Networks by name: `given[name]` is the same one each time, `given.once(name)` one that is not kept.

    Args:
        loads: gives each, in eval mode, on the device.
        heard: is told of each network that is loaded.
    """

    def __init__(self, loads: Mapping[str, Load], heard: Callable[[nn.Module], None]) -> None:
        self._loads = loads
        self._heard = heard
        self._kept: dict[str, nn.Module] = {}

    def __getitem__(self, name: str) -> nn.Module:
        """One network, loaded at first and kept."""
        if name not in self._kept:
            self._kept[name] = self.once(name)
        return self._kept[name]

    def once(self, name: str) -> nn.Module:
        """One network, loaded for the caller alone: of many that are asked one after another, one takes memory."""
        net = self._loads[name]()
        self._heard(net)
        return net

    def __contains__(self, name: object) -> bool:
        """Whether there is one; it is not loaded."""
        return name in self._loads

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._loads)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._loads)
