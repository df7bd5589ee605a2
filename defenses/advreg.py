"""Adversarial regularisation, AdvReg (Nasr, Shokri and Houmansadr, CCS 2018), as the CRL authors' code trains it.

A share of the training part is withheld as reference. In every epoch:
    one pass over the members: the classifier lowers  CE(z, y) + alpha * (mean h(z, y) - 1/2), h held fixed;
    one pass over pairs of member and reference batches: h, the inference network, lowers the binary cross entropy of
    telling members from reference records, by Adam; the classifier held fixed, in eval mode.
h(z, y) sees the logits sorted ascending, and the label as -1 everywhere and +1 at y; its two towers are
C-100-1024-512-64 and C-100-512-64 with ReLU, joined to one sigmoid unit.
Nasr et al. maximise a gain with several inference steps per classifier step; the reference code has no warm-up and no
alternation inside an epoch. alpha and the reference share are unpublished: the defaults are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from miabench import Defense, Field, Range, Task

HIDDEN = (100, 1024, 512, 64)  # widths of the tower that sees the logits, in the CRL authors' code
LABEL_HIDDEN = (100, 512, 64)  # of the tower that sees the label


class AdvReg(Defense, frozen=True):
    """Trains the classifier against an inference network that tells its members apart."""

    tune: ClassVar = {
        "alpha": Range(0.1, 20, log=True),
        "reference_fraction": Range(0.1, 0.8),
    }

    alpha: float = Field(1.0, ge=0, description="α: weight of the inference network's gain")
    reference_fraction: float = Field(0.5, gt=0, lt=1, description="share of the training part withheld as reference")
    inference_lr: float = Field(0.001, gt=0, description="learning rate of the inference network's Adam")

    def withhold(self) -> dict[str, float]:
        """The reference part."""
        return {"reference": self.reference_fraction}

    def fit(self, task: Task) -> nn.Module:
        """Alternate the two passes."""
        net = task.net()
        inference = task.new("inference network", lambda: InferenceNetwork(task.num_classes))
        opt, inference_opt = task.optimizer(net), Adam(inference.parameters(), lr=self.inference_lr)

        def classifier_step(ids: Tensor) -> tuple[Tensor, Tensor]:
            logits = net(task.augment(task.x[ids]))[0]
            return classifier_loss(logits, task.y[ids], inference, self.alpha), logits

        def inference_step(pair: tuple[Tensor, Tensor]) -> Tensor:
            with torch.no_grad():
                seen, unseen = ((net(task.augment(task.x[ids]))[0], task.y[ids]) for ids in pair)
            return inference_loss(inference, seen, unseen)

        for _ in task.epochs(net=net, inference=inference, opt=opt, inference_opt=inference_opt):
            inference.requires_grad_(False)
            task.train_epoch(classifier_step, net, opt)
            inference.requires_grad_(True)
            net.eval()
            # as many as the smaller part has
            pairs = zip(task.batches(task.ids["train"]), task.batches(task.ids["reference"]), strict=False)
            task.train_epoch(inference_step, inference, inference_opt, batches=pairs, name="inference_loss")
        return net


class InferenceNetwork(nn.Module):
    """h(z, y): the probability (B,) that records with logits z (B, C) and labels y (B,) are members."""

    def __init__(
        self,
        num_classes: int,
        hidden: Sequence[int] = HIDDEN,
        label_hidden: Sequence[int] = LABEL_HIDDEN,
    ) -> None:
        super().__init__()
        self.logits = _tower([num_classes, *hidden])
        self.label = _tower([num_classes, *label_hidden])
        self.out = nn.Linear(hidden[-1] + label_hidden[-1], 1)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Membership probabilities (B,)."""
        ranked = logits.sort(1).values
        signs = 2 * F.one_hot(targets, logits.shape[1]).to(logits) - 1
        joined = torch.cat([self.logits(ranked), self.label(signs)], 1)
        probability: Tensor = self.out(joined).sigmoid()[:, 0]
        return probability


def _tower(widths: Sequence[int]) -> nn.Sequential:
    layers = [[nn.Linear(a, b), nn.ReLU()] for a, b in pairwise(widths)]
    return nn.Sequential(*(module for layer in layers for module in layer))


def classifier_loss(logits: Tensor, targets: Tensor, inference: nn.Module, alpha: float) -> Tensor:
    """CE + alpha * (mean h - 1/2)."""
    gain: Tensor = inference(logits, targets).mean() - 0.5
    return F.cross_entropy(logits, targets) + alpha * gain


def inference_loss(inference: nn.Module, members: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]) -> Tensor:
    """Binary cross entropy of telling members (logits, labels) from others."""
    logits, labels = (torch.cat(pair) for pair in zip(members, others, strict=True))
    truth = torch.cat([logits.new_ones(len(members[1])), logits.new_zeros(len(others[1]))])
    return F.binary_cross_entropy(inference(logits, labels), truth)
