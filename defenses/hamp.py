"""HAMP, high-entropy soft labels and modified outputs (Chen and Pattabiraman, NDSS 2024, arXiv:2307.01610).

Training: every target is a soft label t whose entropy is the share gamma of the largest, H(t) = gamma * ln C, with the
probability a > 1 / C at the class and (1 - a) / (C - 1) at each other; and uncertain answers are rewarded:
    L = mean_B [ KL(t || p) - alpha * H(p) ],   p = softmax(z)
Serving: an input is made at random, and the record is answered with that input's logits, put in the order of the
record's own: the predicted class stays (but where logits tie), and nothing else of the record's own numbers is told.
A record gets the same answer every time: chance is drawn from its content. Attacks that see the network itself see
through the serving.
Differs from the paper: a is the root of H(t) = gamma * ln C (the authors' code lowers it from 1 in steps of 0.01); its
KL is a mean over classes too, so its alpha is ours divided by C; `samples` random inputs are answered once, after
training, and each record draws one of them (there: a new input for each answer). A random input has, in each place, one
of the two values that the members have there, or else a value evenly between their smallest and largest.
The defaults are those of its scripts for CIFAR-10: gamma 0.95 and alpha 0.001 * C (Purchase100: 0.8 and 0.01 * C;
Location30: 0.5 and 0.001 * C).
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from miabench.defenses._beside import num_classes
from miabench.defenses._relaxation import soft_cross_entropy
from torch import Tensor, nn

from miabench import Defense, Field, Range, Task

if TYPE_CHECKING:
    from miabench import RecordNoise


class HAMP(Defense, frozen=True):
    """Teaches the network to be unsure, and answers in its order with the numbers of random inputs."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"gamma": Range(0.3, 0.98), "alpha": Range(0.001, 1, log=True)}

    gamma: float = Field(0.95, ge=0, lt=1, description="γ: entropy of the soft labels, as a share of ln C")
    alpha: float = Field(0.01, ge=0, description="α: weight of the output entropy H(p)")
    samples: int = Field(1000, ge=1, description="random inputs whose logits are answered")

    def architecture(self, net: nn.Module) -> nn.Module:
        """The network with the answers to random inputs (samples, C) beside it, sorted."""
        net.register_buffer("random_answers", torch.zeros(self.samples, num_classes(net)))
        return net

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """Divergence from the soft labels, minus the weighted entropy."""
        log_p = logits.log_softmax(1)
        at_class = logits.new_full((len(logits),), confidence_of_entropy(self.gamma, logits.shape[1]))
        divergence = soft_cross_entropy(log_p, at_class, targets).mean() - self.gamma * math.log(logits.shape[1])
        return divergence + self.alpha * (log_p.exp() * log_p).sum(1).mean()

    def fit(self, task: Task) -> nn.Module:
        """The shared loop; then the answers to random inputs are kept."""
        net = super().fit(task)
        x = random_inputs(task.x[task.ids["train"]], self.samples, task.generator("random inputs"))
        net.random_answers = task.evaluate(net, x)[0].sort(1).values
        return net

    def serve(self, net: nn.Module, logits: Tensor, noise: RecordNoise) -> Tensor:
        """For each record a random input's logits (N, C), in the order of the record's own."""
        answers = cast(Tensor, net.random_answers)
        drawn = answers[(noise.uniform() * len(answers)).long()]
        return torch.empty_like(logits).scatter(1, logits.argsort(dim=1, stable=True), drawn.to(logits))


@cache
def confidence_of_entropy(gamma: float, num_classes: int) -> float:
    """a: at the class, with (1 - a) / (C - 1) elsewhere, for the entropy gamma * ln C; between 1 / C and 1."""
    from scipy.optimize import brentq

    def excess(a: float) -> float:
        rest = 1 - a
        own = -a * math.log(a)
        return own - (rest * math.log(rest / (num_classes - 1)) if rest else 0.0) - gamma * math.log(num_classes)

    return float(brentq(excess, 1 / num_classes, 1.0, xtol=1e-15))


def random_inputs(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Inputs (count, ...) drawn place by place within what inputs x (n, ...) have there."""
    low, high = x.amin(0), x.amax(0)
    u = torch.rand((count, *x.shape[1:]), generator=generator, device=x.device, dtype=torch.float64)
    if not x.is_floating_point():
        return low + (u * (high - low + 1)).long()
    one_of_two = torch.where(u < 0.5, low, high)
    between = low + (high - low) * u.to(x)
    return torch.where(((x == low) | (x == high)).all(0), one_of_two, between)
