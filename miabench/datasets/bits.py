"""Bits: generated records that a small network overfits within seconds; no file needed.

Each class is a random prototype of bits, and each record its class's prototype with every bit flipped
independently with probability `flip`. Inputs are float32 zeros and ones, not normalised. Equal arguments give equal
records on every machine and under every version of the libraries.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Field, Schedule


class Bits(Dataset, frozen=True):
    """Noisy copies of random prototypes."""

    # as in the preset `bits`
    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.05, milestones={20: 0.005, 30: 0.0005}, batch_size=64)

    classes: int = Field(20, ge=2, description="C: number of classes")
    records_per_class: int = Field(120, ge=1, description="records of each class")
    bits: int = Field(100, ge=1, description="length of a record")
    flip: float = Field(0.35, ge=0, le=0.5, description="probability that a bit differs from its prototype; 0.5: noise")
    seed: int = Field(0, ge=0, lt=2**32, description="of prototypes and flips; not the experiment's seed")

    def load(self, root: Path) -> Data:
        """The pool; the classes take turns."""
        random = np.random.RandomState(self.seed)  # the one generator numpy promises never to change
        prototypes = random.randint(0, 2, size=(self.classes, self.bits)).astype(bool)
        y = np.tile(np.arange(self.classes), self.records_per_class)
        flipped = random.random_sample((len(y), self.bits)) < self.flip
        x = (prototypes[y] ^ flipped).astype(np.float32)
        names = tuple(str(label) for label in range(self.classes))
        return Data(torch.from_numpy(x), torch.from_numpy(y), names)
