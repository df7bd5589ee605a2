"""MemGuard (Jia et al., CCS 2019, arXiv:1909.10594, Algorithm 1): noise on answers, found against an attack of its own.

The network is CE's. The defender trains a classifier g = sigmoid(h) to tell the members' answers from those to a withheld
reference part: C-256-128-64-1 with ReLU, on the confidence vector s = softmax(z) sorted ascending. Serving adds noise:
    phase I   e lowers |h(s')| + c2 * relu(max_{j != l} (z + e)_j - (z + e)_l) + c3 * ||s - s'||_1,  s' = softmax(z + e),
              by steps of length beta along the gradient from e = 0, until h has changed its sign and l = argmax z is
              kept (or max_iter); then again with c3 ten times larger, while that succeeds; the last success is taken
    phase II  s' is answered with probability min(epsilon / ||s - s'||_1, 1) if g(s') is nearer to 1/2 than g(s), else s:
              the expected distortion is at most epsilon, and the predicted class never changes
One answer per record: chance is drawn from the record's content. Attacks that see the network itself see through it.
Differs from the paper: g is trained by Adam for the schedule's epochs, members and reference weighing the same (there:
400 epochs of SGD, as many of each); s' is sorted again in every step, as g would see it; c3 ends at C3_END, as in the
authors' code. The share withheld is ours; their Location experiment has as many reference records as members.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from miabench import Defense, Field, Role, Task, Train
from miabench.serving import RecordNoise

HIDDEN = (256, 128, 64)  # of g, section 5.1
C3_END = 1e5


class MemGuard(Defense, frozen=True):
    """Answers confidence vectors on which an attack network of the defender's can only guess."""

    epsilon: float = Field(1.0, ge=0, description="ε: expected L1 distortion of a confidence vector, at most 2")
    reference_fraction: float = Field(0.5, gt=0, lt=1, description="share of the training part withheld as reference")
    attack_lr: float = Field(0.001, gt=0, description="learning rate of g's Adam")
    c2: float = Field(10.0, gt=0, description="c2: weight of keeping the predicted class")
    c3: float = Field(0.1, gt=0, description="c3: first weight of the distortion")
    beta: float = Field(0.1, gt=0, description="β: length of a step, in logits")
    max_iter: int = Field(300, ge=1, description="most steps for one c3")

    def withhold(self) -> dict[str, float]:
        """The reference part."""
        return {"reference": self.reference_fraction}

    def requires(self, role: Role) -> dict[str, Train]:
        """CE's network, trained on what is left."""
        return {"net": Train("ce")}

    def architecture(self, net: nn.Module) -> nn.Module:
        """The network with g beside it, so that g is stored with it."""
        with torch.no_grad():
            head = copy.deepcopy(net.head).eval()
            num_classes = head(torch.zeros(1, net.feature_dim)).shape[1]
        net.guard = MembershipNetwork(num_classes)
        return net

    def fit(self, task: Task) -> nn.Module:
        """Train g on the network's answers to members and reference."""
        net = task.net()
        net.load_state_dict({**net.state_dict(), **task.given["net"].state_dict()})
        net.eval()
        members, reference = task.ids["train"], task.ids["reference"]
        ids = torch.cat([members, reference])
        with torch.no_grad():
            s = torch.cat([net(task.x[part])[0].softmax(1) for part in torch.split(ids, 1024)])  # (R, C)
        member = (torch.arange(len(ids), device=task.device) < len(members)).to(s)
        weight = torch.tensor(len(reference) / len(members), device=task.device)
        opt = Adam(net.guard.parameters(), lr=self.attack_lr)
        for _ in task.epochs(net=net, opt=opt):
            total = torch.zeros((), device=task.device)
            for rows in task.batches(torch.arange(len(ids), device=task.device)):
                loss = F.binary_cross_entropy_with_logits(net.guard(s[rows]), member[rows], pos_weight=weight)
                opt.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                opt.step()
                total += loss.detach() * len(rows)
            task.record(attack_loss=total / len(ids))
        return net

    def serve(self, net: nn.Module, logits: Tensor, noise: RecordNoise) -> Tensor:
        """Logarithms (N, C) of the answered confidence vectors."""
        z = logits.double()  # a saturated confidence vector has no gradient in float32
        h = copy.deepcopy(net.guard).double()
        noisy = z + self.phase_one(h, z)
        s, s_noisy = z.softmax(1), noisy.softmax(1)
        distortion = (s - s_noisy).abs().sum(1)
        p = torch.where(h(s_noisy).abs() < h(s).abs(), self.epsilon / distortion, 0.0)
        answer = torch.where((noise.uniform() < p)[:, None], noisy, z)
        return _log_confidence(answer, z.argmax(1), logits.dtype)


class MembershipNetwork(nn.Module):
    """h(s): the log odds (N,) that records with confidence vectors s (N, C) are members."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = (num_classes, *HIDDEN)
        layers = [[nn.Linear(a, b), nn.ReLU()] for a, b in zip(widths, HIDDEN, strict=False)]
        self.layers = nn.Sequential(*(module for layer in layers for module in layer), nn.Linear(HIDDEN[-1], 1))

    def forward(self, s: Tensor) -> Tensor:
        """Log odds (N,)."""
        odds: Tensor = self.layers(s.sort(1).values)[:, 0]
        return odds
