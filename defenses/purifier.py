"""Purifier (Yang et al., AAAI 2023, arXiv:2212.00612): answers remade by a conditional VAE, and swapped labels.

The network is CE's; s = softmax(z) is its confidence vector, l its largest class. A share of the training part is
withheld as reference, records that the network has not seen.
    reformer     a conditional VAE, trained on the reference records' confidence vectors and told l: the encoder gives
                 the mean and variance of a Gaussian, the decoder makes s' from a draw u of it; it lowers
                     mean [ ||s - s'||^2 + lambda * CE(s', l) + beta * KL( q(u | s, l) || N(0, I) ) ]
                 so every answer looks like one to a record outside the training
    label swap   members are known too well by their label: of those that CE's network has right a share
                 (A - A_ref) / A is drawn, A and A_ref being the accuracies on members and reference; where the answer
                 to a record is one of theirs, the two largest entries of s' change places: accuracies become alike
A record gets the same answer every time: u is drawn from its content. Attacks that see the network itself see through
all this.
What the paper leaves open is ours: beta (its Eq. 1 names no such term; at 0 the draws lose their variance), lambda, the
share withheld, and hidden widths (its ones differ by data set; here 32-64-128 to a latent space of `latent` and back).
Its reformer is trained by Adam at 1e-4 for 300 epochs, ours for the schedule's at `reformer_lr`. It finds a drawn
member's answer by the nearest neighbour of s; here z must be the member's own up to rounding, as many members of a
fitted network share one s.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from miabench.defenses._beside import num_classes
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from miabench import Defense, Field, Range, Role, Task, Train, UserError

if TYPE_CHECKING:
    from miabench import RecordNoise

HIDDEN = (32, 64, 128)  # of the encoder, and backwards of the decoder: the paper's for UTKFace
SAME = 1e-4  # relative distance below which two logit vectors are one, computed in batches of another size


class Purifier(Defense, frozen=True):
    """Answers that are made anew to look like those to unseen records."""

    tune: ClassVar = {
        "lambda_label": Range(0.01, 10, log=True),
        "beta": Range(0.001, 1, log=True),
        "reference_fraction": Range(0.1, 0.8),
    }

    lambda_label: float = Field(1.0, ge=0, description="λ: weight of keeping the predicted class")
    beta: float = Field(0.01, ge=0, description="β: weight of the latent space's divergence from N(0, I)")
    latent: int = Field(2, ge=1, description="dimensions of the latent space")
    most_swapped: int = Field(5000, ge=1, description="room, stored with the network, for members with swapped labels")
    reformer_lr: float = Field(0.001, gt=0, description="learning rate of the reformer's Adam")
    reference_fraction: float = Field(0.5, gt=0, lt=1, description="share of the training part withheld as reference")

    def withhold(self) -> dict[str, float]:
        """The reference part."""
        return {"reference": self.reference_fraction}

    def requires(self, role: Role) -> dict[str, Train]:
        """CE's network, trained on what is left."""
        return {"net": Train("ce")}

    def architecture(self, net: nn.Module) -> nn.Module:
        """The network with reformer and label swapper beside it, unused by its forward pass."""
        classes = num_classes(net)
        net.reformer = Reformer(classes, self.latent)
        net.swapper = LabelSwapper(classes, self.most_swapped)
        return net

    def fit(self, task: Task) -> nn.Module:
        """Draw the members whose labels are swapped; train the reformer on the network's answers to the reference."""
        net = task.net()
        net.load_state_dict({**net.state_dict(), **task.given["net"].state_dict()})
        reformer, swapper = cast(Reformer, net.reformer), cast(LabelSwapper, net.swapper)
        members, reference = task.ids["train"], task.ids["reference"]
        z = task.evaluate(net, task.x[torch.cat([members, reference])])[0]
        right = z.argmax(1) == task.y[torch.cat([members, reference])]
        swapper.draw(z[: len(members)], right, task.generator("swapped labels"))
        s, chance = z[len(members) :].softmax(1), task.generator("latent noise")
        opt = Adam(reformer.parameters(), lr=self.reformer_lr)

        def step(rows: Tensor) -> Tensor:
            mean, log_var = reformer.encode(s[rows])
            noise = torch.randn(mean.shape, generator=chance, device=s.device, dtype=s.dtype)
            log_made = reformer.decode(mean + (log_var / 2).exp() * noise, s[rows])
            return self.reformer_loss(s[rows], log_made, (mean, log_var))

        for _ in task.epochs(net=net, opt=opt):
            rows = task.batches(torch.arange(len(s), device=task.device))
            task.train_epoch(step, reformer, opt, batches=rows, name="reformer_loss")
        return net

    def reformer_loss(self, s: Tensor, log_made: Tensor, latent: tuple[Tensor, Tensor]) -> Tensor:
        """0-dim, from confidence vectors s (B, C), log s' (B, C), and the latent means and log variances (B, d)."""
        mean, log_var = latent
        distance = (s - log_made.exp()).square().sum(1)
        label = F.nll_loss(log_made, s.argmax(1), reduction="none")
        divergence = (mean.square() + log_var.exp() - 1 - log_var).sum(1) / 2
        return (distance + self.lambda_label * label + self.beta * divergence).mean()

    def serve(self, net: nn.Module, logits: Tensor, noise: RecordNoise) -> Tensor:
        """Logarithms (N, C) of the answered confidence vectors."""
        reformer, swapper = cast(Reformer, net.reformer), cast(LabelSwapper, net.swapper)
        s = logits.softmax(1)
        mean, log_var = reformer.encode(s)
        log_made = reformer.decode(mean + (log_var / 2).exp() * noise.normal(self.latent).to(mean), s)
        return torch.where(swapper(logits)[:, None], swap_two_largest(log_made), log_made)


class Reformer(nn.Module):
    """The conditional VAE of confidence vectors s (B, C): into `latent` dimensions and back, told the largest class."""

    def __init__(self, num_classes: int, latent: int) -> None:
        super().__init__()
        self.encoder = _layers([2 * num_classes, *HIDDEN, 2 * latent])
        self.decoder = _layers([latent + num_classes, *reversed(HIDDEN), num_classes])

    def encode(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances (B, latent)."""
        mean, log_var = self.encoder(torch.cat([s, _one_hot_largest(s)], 1)).chunk(2, 1)
        return mean, log_var

    def decode(self, u: Tensor, s: Tensor) -> Tensor:
        """Log s' (B, C), of latent draws u (B, latent); of s it sees the largest class alone."""
        log_made: Tensor = self.decoder(torch.cat([u, _one_hot_largest(s)], 1)).log_softmax(1)
        return log_made


class LabelSwapper(nn.Module):
    """Knows again the answers to members whose labels are swapped.

    Attributes:
        drawn: their logits (size, C), of which the first `count` are filled: stored networks have one shape.
    """

    drawn: Tensor
    count: Tensor

    def __init__(self, num_classes: int, size: int) -> None:
        super().__init__()
        self.register_buffer("drawn", torch.zeros(size, num_classes))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def draw(self, z: Tensor, right: Tensor, generator: torch.Generator) -> None:
        """Choose members: logits z (n, C) of members, and who of members and then reference is right (n + r,).

        Raises:
            UserError: they are more than there is room for.
        """
        members, reference = right[: len(z)], right[len(z) :].double().mean()
        share = (1 - reference / members.double().mean()).clamp(min=0).nan_to_num()
        candidates = z[members]
        count = round(float(share) * len(candidates))
        if count > len(self.drawn):
            raise UserError(f"purifier: {count} labels are to be swapped, more than most_swapped = {len(self.drawn)}")
        order = torch.randperm(len(candidates), generator=generator, device=z.device)
        self.drawn[:count] = candidates[order[:count]]
        self.count.fill_(count)

    def forward(self, z: Tensor) -> Tensor:
        """Whether logits z (N, C) are those of a drawn member (N,)."""
        drawn = self.drawn[: int(self.count)]
        if not len(drawn):
            return torch.zeros(len(z), dtype=torch.bool, device=z.device)
        distance = torch.cdist(z, drawn, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        same: Tensor = distance <= SAME * z.norm(dim=1)
        return same


def _layers(widths: list[int]) -> nn.Sequential:
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def _one_hot_largest(s: Tensor) -> Tensor:
    return F.one_hot(s.argmax(1), s.shape[1]).to(s)


def swap_two_largest(v: Tensor) -> Tensor:
    """The rows of v (N, C) with their two largest entries in each other's place."""
    two = v.topk(2, 1)
    return v.scatter(1, two.indices, two.values.flip(1))
