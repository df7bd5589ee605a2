"""The random streams of one training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from miabench import seeds


class Streams:
    """One generator per purpose, on the training's device, made when it is first asked for.

    Args:
        seed: of the training.
        device: of the generators.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.device = device
        self._generators: dict[str, torch.Generator] = {}

    def generator(self, purpose: str) -> torch.Generator:
        """The stream of a purpose, where it stands now."""
        if purpose not in self._generators:
            self._generators[purpose] = seeds.generator(self.seed, purpose, self.device)
        return self._generators[purpose]

    def __iter__(self) -> Iterator[torch.Generator]:
        """The streams that were asked for."""
        return iter(self._generators.values())

    def state_dict(self) -> dict[str, Tensor]:
        """Where each stream stands, for checkpoints."""
        return {purpose: generator.get_state() for purpose, generator in self._generators.items()}

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Put back what `state_dict` gave."""
        for purpose, state in saved.items():
            self.generator(purpose).set_state(state)
