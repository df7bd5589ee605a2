"""MemGuard (Jia et al., CCS 2019, arXiv:1909.10594, Algorithm 1): noise on answers, found against an attack of its own.

The network is CE's. A share of the training part is withheld as reference, and the defender trains g = sigmoid(h) to
tell answers to members from answers to reference records: C-256-128-64-1 with ReLU, on the confidence vector
s = softmax(z), sorted. Serving adds noise e to the logits z, whose largest is z_l; s' = softmax(z + e):
    phase I   e lowers |h(s')| + c2 * relu(max_{j != l} (z + e)_j - (z + e)_l) + c3 * ||s - s'||_1,
              by steps of length beta down the gradient from e = 0, until h has changed its sign and l is still the
              largest, or max_iter is reached; then anew with c3 ten times larger, as long as that succeeds
    phase II  s' is answered with probability min(epsilon / ||s - s'||_1, 1) where g(s') is nearer to 1/2 than g(s),
              else s: so the expected distortion is at most epsilon, and the predicted class stays
A record gets the same answer every time: chance is drawn from its content. Attacks that see the network itself see
through all this.
Differs from the paper: g is trained by Adam for the schedule's epochs, members and reference weighing the same (there:
400 epochs of SGD, as many of each); s' is sorted anew in every step, as g would see it; c3 ends at C3_END and max_iter
is 100 (the authors' code: 1e5 and 300; on Location30 their distortion is 1% lower, in three times the time).
The withheld share is ours.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import torch
from miabench.defenses._beside import num_classes
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from miabench import Defense, Field, Range, Role, Task, Train

if TYPE_CHECKING:
    from miabench import RecordNoise

HIDDEN = (256, 128, 64)  # of g, as in the paper
C3_END = 1e5


class MemGuard(Defense, frozen=True):
    """Answers confidence vectors on which an attack network of the defender's can only guess."""

    tune: ClassVar = {
        "epsilon": Range(0, 2),
        "reference_fraction": Range(0.1, 0.8),
    }

    epsilon: float = Field(1.0, ge=0, description="ε: largest expected L1 distortion of a confidence vector; 2: any")
    reference_fraction: float = Field(0.5, gt=0, lt=1, description="share of the training part withheld as reference")
    attack_lr: float = Field(0.001, gt=0, description="learning rate of g's Adam")
    c2: float = Field(10.0, gt=0, description="c2: weight of keeping the predicted class")
    c3: float = Field(0.1, gt=0, description="c3: first weight of the distortion")
    beta: float = Field(0.1, gt=0, description="β: length of a step, in logits")
    max_iter: int = Field(100, ge=1, description="at most so many steps, less one, for each c3")

    def withhold(self) -> dict[str, float]:
        """The reference part."""
        return {"reference": self.reference_fraction}

    def requires(self, role: Role) -> dict[str, Train]:
        """CE's network, trained on what is left."""
        return {"net": Train("ce")}

    def architecture(self, net: nn.Module) -> nn.Module:
        """The network with h beside it, unused by its forward pass, so that h is stored with it."""
        net.guard = MembershipNetwork(num_classes(net))
        return net

    def fit(self, task: Task) -> nn.Module:
        """Train h on the network's answers to members and reference."""
        net = task.net()
        net.load_state_dict({**net.state_dict(), **task.given["net"].state_dict()})
        h = cast(MembershipNetwork, net.guard)
        members, reference = task.ids["train"], task.ids["reference"]
        s = task.evaluate(net, task.x[torch.cat([members, reference])])[0].softmax(1)
        member = (torch.arange(len(s), device=task.device) < len(members)).to(s)  # (R,)
        weight = torch.tensor(len(reference) / len(members), device=task.device)
        opt = Adam(h.parameters(), lr=self.attack_lr)

        def step(rows: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(h(s[rows]), member[rows], pos_weight=weight)

        for _ in task.epochs(net=net, opt=opt):
            rows = task.batches(torch.arange(len(s), device=task.device))
            task.train_epoch(step, h, opt, batches=rows, name="attack_loss")
        return net

    def serve(self, net: nn.Module, logits: Tensor, noise: RecordNoise) -> Tensor:
        """Logarithms (N, C) of the answered confidence vectors."""
        z = logits.double()  # in float32 a confidence vector next to a corner has no gradient
        h = copy.deepcopy(cast(MembershipNetwork, net.guard)).double().requires_grad_(False)
        moved = z + self.phase_one(h, z)
        s, s_moved = z.softmax(1), moved.softmax(1)
        p = torch.where(h(s_moved).abs() < h(s).abs(), self.epsilon / (s - s_moved).abs().sum(1), 0.0)
        answer = torch.where((noise.uniform() < p)[:, None], moved, z)
        return _log_softmax(answer, z.argmax(1), logits.dtype)

    def phase_one(self, h: MembershipNetwork, z: Tensor) -> Tensor:
        """The noise e (N, C) on logits z (N, C), float64; 0 where none is found. Records do not touch each other."""
        s = z.softmax(1)
        answers = _Answers(z, s, z.argmax(1), h(s))
        noise, rows, c3 = torch.zeros_like(z), torch.arange(len(z), device=z.device), self.c3
        while len(rows) and c3 <= C3_END:
            e, found = self._search(h, answers, c3)
            rows, answers = rows[found], answers.at(found)
            noise[rows] = e[found]
            c3 *= 10
        return noise

    def _search(self, h: MembershipNetwork, answers: _Answers, c3: float) -> tuple[Tensor, Tensor]:
        """For one c3: the noise (N, C), and where it does what it should (N,)."""
        noise, found = torch.zeros_like(answers.z), torch.zeros_like(answers.label, dtype=torch.bool)
        e, rows = noise.clone(), torch.arange(len(noise), device=noise.device)  # of the records still searched
        for _ in range(self.max_iter):
            odds, slope = _objective(h, answers, e, (self.c2, c3))
            done = ((answers.z + e).argmax(1) == answers.label) & (odds * answers.odds <= 0)
            noise[rows[done]], found[rows[done]] = e[done], True
            rows, answers, e, slope = rows[~done], answers.at(~done), e[~done], slope[~done]
            if not len(rows):
                break
            e = e - self.beta * slope / slope.norm(dim=1, keepdim=True).clamp(min=torch.finfo(e.dtype).tiny)
        return noise, found


class MembershipNetwork(nn.Module):
    """h(s): the log odds (N,) that records with confidence vectors s (N, C) are members."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        hidden = [layer for pair in pairwise((num_classes, *HIDDEN)) for layer in (nn.Linear(*pair), nn.ReLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(HIDDEN[-1], 1))

    def forward(self, s: Tensor) -> Tensor:
        """Log odds (N,)."""
        odds: Tensor = self.layers(s.sort(1).values)[:, 0]
        return odds


class _Answers(NamedTuple):
    """The network's own answers to records: logits z, confidences s (N, C), predicted class and h(s) (N,)."""

    z: Tensor
    s: Tensor
    label: Tensor
    odds: Tensor

    def at(self, rows: Tensor) -> _Answers:
        return _Answers(*(part[rows] for part in self))


def _objective(
    h: MembershipNetwork, answers: _Answers, e: Tensor, weights: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """h(s') (N,), and the gradient (N, C) in e of phase I's objective with weights (c2, c3)."""
    with torch.enable_grad():
        e = e.detach().requires_grad_()
        z, label = answers.z + e, answers.label[:, None]
        s = z.softmax(1)
        odds = h(s)
        behind = z.scatter(1, label, -torch.inf).amax(1) - z.gather(1, label)[:, 0]
        loss = odds.abs() + weights[0] * behind.relu() + weights[1] * (answers.s - s).abs().sum(1)
        (slope,) = torch.autograd.grad(loss.sum(), e)
    return odds.detach(), slope


def _log_softmax(z: Tensor, label: Tensor, dtype: torch.dtype) -> Tensor:
    """log_softmax of z (N, C), rounded to dtype so that its largest entry stays at label (N,)."""
    rounded = z.log_softmax(1).to(dtype)
    above = torch.nextafter(rounded.amax(1), torch.full_like(rounded[:, 0], torch.inf))
    own = rounded.gather(1, label[:, None])[:, 0]
    kept = torch.where(rounded.argmax(1) == label, own, above)
    return rounded.scatter(1, label[:, None], kept[:, None])
