"""What attacks by the Adversarial Robustness Toolbox (the extra `boundary`) share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import torch

from miabench import Data


def why_not(data: Data, lack: str) -> str | None:
    """Token ids, which lack something; or the toolbox is not installed."""
    if data.x.dtype == torch.int64:
        return f"its records are integer tokens, which have no {lack}; it needs images or real-valued features"
    if find_spec("art") is None:
        return "it needs the Adversarial Robustness Toolbox: pip install 'miabench[boundary]'"
    return None


@contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """NumPy's global generator, which the toolbox draws from, seeded for a while."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
