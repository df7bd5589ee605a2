"""Seeds: every random stream derives from (experiment seed, run, role, purpose) and nothing else.

Under one seed all defenses start from the same weights and see the same order of records, and adding shadow
models changes no model.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(*parts: int | str) -> int:
    """A seed in 0 .. 2^63-1 from a sequence of numbers and names."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def role_seed(seed: int, run: int, role: str) -> int:
    """The seed of one model, from which its streams derive."""
    return derive(seed, run, role)


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream of one purpose (weights, order, augmentation, ...) on a device."""
    import torch

    return torch.Generator(device).manual_seed(derive(seed, purpose))


@contextmanager
def global_stream(seed: int, purpose: str) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python for code that offers no other way; restore them after.

    Initialisers and dropout draw from torch's, a plugin perhaps from the others.
    """
    import numpy as np
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    python, numpy = random.getstate(), np.random.get_state()
    derived = derive(seed, purpose)
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derived)
        random.seed(derived)
        np.random.seed([derived % 2**32, derived >> 32])
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
