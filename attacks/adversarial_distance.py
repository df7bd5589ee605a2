"""Adversarial distance, white-box (Del Grosso et al., CVPR 2022, arXiv:2203.09566).

score = least || x' - x || among the points x' that were asked about and are not classified as y; 0 where x is not

A member lies farther from the decision boundary. Where `boundary` asks for labels, this attack follows gradients:
Auto-PGD of AutoAttack (Croce and Hein, ICML 2020, arXiv:2003.01690) on cross entropy, then on the difference of logits
ratio (three classes or more), as in the Adversarial Robustness Toolbox. It finds some adversarial example within eps;
bisection over eps, `rounds` times for each record, makes it the smallest. A round ends with its first success. x is
normalised, and x' is not clipped to the data's range.

Differs from the authors' code: that runs AutoAttack once, with eps = 1, and takes the distance of what comes out; here
bisection makes it small. Of AutoAttack's four parts, FAB (which the toolbox lacks) and Square (black-box, 25,000
queries a record) are left out, and the ratio is not tried with each class as its goal. Records are searched one at a
time, as the toolbox draws the starts of a whole batch from one stream: that is dear, so only `records` members and as
many non-members are scored. Needs the toolbox: pip install 'miabench[boundary]'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from miabench.attacks._toolbox import numpy_seeded, why_not
from torch import Tensor, nn

from miabench import Access, Attack, Data, Field, Model, Observed, Probe, RecordNoise, Scores, State

Norm = Literal["l2", "l-inf"]

ORDERS: dict[Norm, float] = {"l2": 2, "l-inf": float("inf")}
FIRST_EPS = 0.25  # in every feature: a quarter of its standard deviation where x is standardised


class AdversarialExample(Probe, frozen=True):
    """Distance to the nearest adversarial example found."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.adversarial_distance", "AdversarialExample")

    norm: Norm
    steps: int
    rounds: int

    sees: ClassVar[Literal["label", "served", "network"]] = "network"

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Distances (n,), float64; where no example was found, that of the farthest point asked about."""
        seeds = (noise.uniform(1)[:, 0] * 2**32).long().tolist()
        right = (ask(x)[0].argmax(1) == y).tolist()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):  # the toolbox' loaders draw a seed
            found = [
                self._distance(_Watched(ask, x[i], int(y[i]), ORDERS[self.norm]), seed) if right[i] else 0.0
                for i, seed in enumerate(seeds)
            ]
        return torch.tensor(found, dtype=torch.float64)

    def _distance(self, net: _Watched, seed: int) -> float:
        """Bisection over eps: none was found within `low`, one at `net.nearest`."""
        low, eps = 0.0, FIRST_EPS * net.x.numel() ** (1 / ORDERS[self.norm])
        with numpy_seeded(seed):
            attacks = list(self._attacks(net))
            for _ in range(self.rounds):
                if not any(net.fooled_by(attack, eps) for attack in attacks):
                    low = eps
                eps = (low + net.nearest) / 2 if np.isfinite(net.nearest) else 2 * low
        return net.nearest if np.isfinite(net.nearest) else net.farthest

    def _attacks(self, net: _Watched) -> Iterator[Any]:
        """Auto-PGD on either loss."""
        from art.attacks.evasion import AutoProjectedGradientDescent
        from art.estimators.classification import PyTorchClassifier

        model = PyTorchClassifier(net, nn.CrossEntropyLoss(), tuple(net.x.shape), net.num_classes, device_type="cpu")
        order = "inf" if self.norm == "l-inf" else 2
        for loss in ("cross_entropy", "difference_logits_ratio")[: 1 if net.num_classes < 3 else 2]:
            yield AutoProjectedGradientDescent(
                model, order, max_iter=self.steps, nb_random_init=1, loss_type=loss, verbose=False
            )


class AdversarialDistance(Attack, frozen=True):
    """Members need the larger perturbation to be classified otherwise."""

    access: ClassVar[Access] = "white-box"

    norm: Norm = Field("l-inf", description="norm of the perturbation: l2 or l-inf")
    steps: int = Field(20, ge=2, description="gradient steps for each eps and loss")
    rounds: int = Field(12, ge=1, description="values of eps tried for each record")
    records: int = Field(100, ge=1, description="members, and as many non-members, that are scored")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Token ids have no gradient; the toolbox is not installed."""
        return why_not(data, "gradient")

    def probes(self) -> tuple[Probe, ...]:
        """The distance alone."""
        return (AdversarialExample(norm=self.norm, steps=self.steps, rounds=self.rounds, records=self.records),)

    def score(self, target: Observed, state: State) -> Scores:
        """Distances (N,)."""
        (probe,) = self.probes()
        return target[probe]


class _FooledError(Exception):
    """An adversarial example within eps was found: the round ends here."""


class _Watched(nn.Module):
    """A network's logits around one record; remembers how near the nearest adversarial example was.

    The toolbox computes on the CPU, in float32; the network stays where it is.

    Args:
        ask: gives logits and features.
        x: the record.
        y: its class, which it is classified as.
        order: of the norm.
    """

    def __init__(self, ask: Callable[[Tensor], Any], x: Tensor, y: int, order: float) -> None:
        super().__init__()
        # No submodule, which the toolbox would move to its device.
        self.logits: Callable[[Tensor], Tensor] = lambda points: ask(points)[0]
        self.x = x
        self.y = y
        self.order = order
        self.num_classes = int(self.logits(x[None]).shape[1])
        self.eps = 0.0
        self.nearest = np.inf
        self.farthest = 0.0

    def forward(self, points: Tensor) -> Tensor:
        """Logits (m, C) of points (m, ...).

        Raises:
            _FooledError: one is nearer than eps and classified otherwise.
        """
        shown = points.to(self.x)
        logits = self.logits(shown)
        moved = (shown - self.x).detach().cpu().double().flatten(1)
        distances = torch.linalg.vector_norm(moved, self.order, dim=1).nan_to_num(0.0)  # a loss's slope may be 0 / 0
        others = (logits.argmax(1) != self.y).cpu() & (distances > 0)
        self.nearest = min([self.nearest, *distances[others].tolist()])
        self.farthest = max([self.farthest, *distances.tolist()])
        if self.nearest <= self.eps:
            raise _FooledError
        return logits.to(points)

    def fooled_by(self, attack: Any, eps: float) -> bool:
        """Whether an attack finds an adversarial example within eps; where it does, `nearest` is at most eps."""
        self.eps = eps * (1 + 1e-5)  # float32 projects on a sphere that is a little off
        attack.set_params(eps=eps, eps_step=2 * eps)  # Auto-PGD's own first step
        try:
            attack.generate(self.x[None].cpu().numpy().astype(np.float32), np.eye(self.num_classes)[[self.y]])
        except _FooledError:
            return True
        finally:
            self.eps = 0.0
        return False
