"""Norms of the cross entropy's gradient that never saturate: the network is differentiated for a margin instead.

CE = log(1 + exp(m)),  m = logsumexp_{i != y} z_i - z_y;  so  d CE = (1 - p_y) dm

The factor rounds to 0 in float32 once p_y is within 1e-7 of 1: all such records would be tied. The margin's gradient
does not, and log(1 - p_y) is added in float64.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from miabench.logprob import log_odds

SMALLEST = np.finfo(np.float64).tiny  # stands for a gradient of exactly 0 (no active path): scores are finite


def margins(logits: Tensor, y: Tensor) -> Tensor:
    """Margins m (n,) of logits (n, C)."""
    at_label = logits.gather(1, y[:, None])[:, 0]
    return logits.scatter(1, y[:, None], -torch.inf).logsumexp(1) - at_label


def log_loss_gradient_norms(norms: Tensor, logits: Tensor, y: Tensor) -> Tensor:
    """The norms' logarithms, log || d CE || (n,), float64, from the norms of dm (n,)."""
    log_not_y = -np.logaddexp(0, log_odds(logits.detach().cpu().numpy(), y.cpu().numpy()))  # log(1 - p_y)
    return torch.from_numpy(np.log(np.maximum(norms.cpu().double().numpy(), SMALLEST)) + log_not_y)
