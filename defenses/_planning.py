"""Looking at a model while an experiment is planned."""

from __future__ import annotations

import torch
from torch import nn

from miabench import Data, Model

LOOKED_AT = 3  # records


def built(model: Model, data: Data) -> nn.Module:
    """The network that a model makes for these data, untrained; the global generator stays where it was."""
    with torch.random.fork_rng(devices=[]):
        return model.build(data.domain)


@torch.no_grad()
def features_of(model: Model, data: Data) -> torch.Tensor:
    """Features (3, D) of the first records, from an untrained network."""
    x = data.inputs(torch.arange(LOOKED_AT), torch.device("cpu"))
    features: torch.Tensor = built(model, data).eval()(x)[1]
    return features
