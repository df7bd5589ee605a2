"""What defenses share that keep something beside the network, for serving."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from miabench import Classifier


def num_classes(net: nn.Module) -> int:
    """C, by asking a copy of the network's head: what a defense adds beside it is made for that many classes."""
    classifier = cast(Classifier, net)
    with torch.no_grad():
        head = copy.deepcopy(classifier.head).eval()
        return int(head(torch.zeros(1, classifier.feature_dim)).shape[1])
