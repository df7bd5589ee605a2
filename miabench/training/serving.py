"""What the outside sees of a network: the answers of a serving defense, the same each time a record is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from torch import Tensor, nn


class RecordNoise:
    """Random numbers for n records, each record's drawn from a stream seeded by its own content.

    Args:
        x: the inputs (n, ...) that were asked about.
        seed: of the defense's noise.
    """

    def __init__(self, x: Tensor, seed: int) -> None:
        self._device = x.device
        self._rows = x.detach().cpu().reshape(len(x), -1).numpy().copy().view(np.uint8)  # x is the caller's to change
        self._key = seed.to_bytes(8, "little")

    @cached_property
    def _streams(self) -> list[Generator]:
        """Made when a number is asked for: most probes ask for none, and hashes take longer than their answers."""
        digests = (hashlib.blake2b(row, key=self._key, digest_size=16).digest() for row in self._rows)
        return [Generator(Philox(key=np.frombuffer(digest, np.uint64))) for digest in digests]

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), (n, *shape), float64."""
        return self._stack([stream.random(shape) for stream in self._streams], shape)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (n, *shape), float64."""
        return self._stack([stream.standard_normal(shape) for stream in self._streams], shape)

    def _stack(self, draws: list[NDArray[np.float64]], shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(np.array(draws, dtype=np.float64).reshape(-1, *shape)).to(self._device)


Serve: TypeAlias = Callable[[nn.Module, Tensor, RecordNoise], Tensor]


class Served(nn.Module):
    """A network behind its defense's API: `served(x) -> (answered logits, features)`.

    Args:
        net: the network.
        serve: what is answered instead of its logits (see `Defense.serve`); None where they are answered as they are.
        seed: of the answers' noise.
    """

    def __init__(self, net: nn.Module, serve: Serve | None, seed: int) -> None:
        super().__init__()
        self.net = net
        self.serve = serve
        self.seed = seed

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Answered logits (N, C) and the network's own features (N, D)."""
        logits, features = self.net(x)
        if self.serve is not None:
            logits = self.serve(self.net, logits, RecordNoise(x, self.seed))
        return logits, features
