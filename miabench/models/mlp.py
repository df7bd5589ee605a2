"""Multilayer perceptron: x flattened, then Linear-ReLU for every hidden width, then Linear to the classes.

Takes numbers of any shape. Feature: the last hidden layer's output, after its ReLU. PyTorch's default initialisation.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from pydantic import PositiveInt
from torch import nn

from miabench import Classifier, Domain, Field, Model
from miabench.models._tokens import unless_numbers


class MLP(Model, frozen=True):
    """Fully connected layers with ReLU."""

    capturable: ClassVar[bool] = True

    hidden: tuple[PositiveInt, ...] = Field((256,), min_length=1, description="widths of the hidden layers")

    def unsupported(self, domain: Domain) -> str | None:
        """Token ids, which are no numbers to compute with."""
        return unless_numbers(domain)

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is the last hidden width."""
        widths = (math.prod(domain.shape), *self.hidden)
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        head = nn.Linear(widths[-1], domain.num_classes)
        return Classifier(nn.Sequential(nn.Flatten(), *layers), head, widths[-1])
