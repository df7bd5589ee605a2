"""DMP with synthetic reference images (Shejwalkar and Houmansadr, AAAI 2021), as the CRL authors' code makes them.

Nothing is withheld: members are the whole training part, and the teacher is the CE cell's own model. A DCGAN (Radford,
Metz and Chintala, ICLR 2016) is trained on the members; the student learns from the teacher's answers to its images,
as in `dmp`.
    G: z (100) - 256 - 128 - 64 - 3, transposed 4x4 convolutions, BatchNorm, ReLU; tanh at the end
    D: 3 - 64 - 128 - 256 - 1, 4x4 convolutions, BatchNorm (not in the first), LeakyReLU(0.2)
    no biases; Adam(0.0002, betas (0.5, 0.999)) for both; 3 steps of G on every step of D, which sees the last fakes;
    binary cross entropy; batches of the schedule's size
Differs from that code: there G cannot make pixels outside [-1, 1], though it normalises images to about [-2, 2]; here
tanh is stretched, channel by channel, over the members' range. Images are not augmented for the GAN. As there, images
are drawn from G in eval mode, in whole batches (one at least).
tau, the number of images and the selected share are unpublished: the defaults are ours.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from miabench.defenses._distillation import Distillation
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from miabench import Data, Epochs, Field, Model, Range, Role, Task, Train

SHAPE = (3, 32, 32)
Z = 100  # length of the noise that an image is made from
LR = 0.0002
BETAS = (0.5, 0.999)
G_STEPS = 3  # on every step of D


class DMPGAN(Distillation, frozen=True):
    """A student that knows the members only through its teacher's answers to a GAN's images."""

    tune: ClassVar = {"tau": Range(0.5, 20, log=True), "select_fraction": Range(0.1, 1)}

    synthetic: int | None = Field(None, ge=1, description="images made, in whole batches; None: as many as members")
    gan_epochs: Epochs = Field(200, ge=1, description="epochs of the GAN's training")
    part: Literal["student", "generator"] = Field(
        "student", description="internal, leave it out: the student's training, or that of the GAN it starts from"
    )

    def unsupported(self, data: Data, model: Model) -> str | None:
        """Records that are not RGB images of 32 x 32; the GAN's own training as a cell."""
        if self.part == "generator":
            return "part = generator is the GAN that dmp-gan trains for itself, not a classifier; leave part out"
        if data.domain.shape != SHAPE:
            given = " x ".join(str(size) for size in data.domain.shape)
            return f"its GAN makes RGB images of 3 x 32 x 32, but these records are {given}; dmp takes any"
        return None

    def requires(self, role: Role) -> dict[str, Train]:
        """The teacher and the GAN, which depends on its own epochs only, so that cells share it."""
        if self.part == "generator":
            return {}
        schedule = {"epochs": self.gan_epochs, "lr": LR, "milestones": {}}
        return {"teacher": Train("ce"), "generator": Train("dmp-gan", schedule=schedule, part="generator")}

    def architecture(self, net: nn.Module) -> nn.Module:
        """The classifier, or the GAN's generator in its place."""
        return Generator() if self.part == "generator" else net

    def fit(self, task: Task) -> nn.Module:
        """Train the GAN, or distil on its images."""
        if self.part == "generator":
            return _train_gan(task)
        images = self._images(task, task.given["generator"])
        return self.distil(task, task.given["teacher"], images)

    @torch.no_grad()
    def _images(self, task: Task, generator: nn.Module) -> Tensor:
        size = task.schedule.batch_size
        batches = max(1, (self.synthetic or len(task.ids["train"])) // size)
        return torch.cat([generator(_noise(task, size)) for _ in range(batches)])


class Generator(nn.Module):
    """Noise (B, 100) to images (B, 3, 32, 32), each channel between its `low` and `high` (3, 1, 1)."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ConvTranspose2d(Z, 256, 4, bias=False)]
        for before, after in pairwise((256, 128, 64, SHAPE[0])):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.register_buffer("low", torch.full((SHAPE[0], 1, 1), -1.0))
        self.register_buffer("high", torch.ones(SHAPE[0], 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Images, normalised as the dataset's inputs are."""
        share: Tensor = (self.layers(z[:, :, None, None]) + 1) / 2
        return self.low + share * (self.high - self.low)


class _Discriminator(nn.Module):
    """Images (B, 3, 32, 32) to the logit (B,) of being a member's."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(SHAPE[0], 64, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.2)]
        for before, after in pairwise((64, 128, 256)):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(256, 1, 4, bias=False), nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.layers(x)
        return logit


def _train_gan(task: Task) -> nn.Module:
    net = task.net()
    members = task.x[task.ids["train"]]
    net.low = members.amin((0, 2, 3))[:, None, None]
    net.high = members.amax((0, 2, 3))[:, None, None]
    judge = task.new("discriminator", _Discriminator)
    task.meter.watch(judge)
    opt, judge_opt = (Adam(module.parameters(), lr=LR, betas=BETAS) for module in (net, judge))
    for _ in task.epochs(net=net, judge=judge, opt=opt, judge_opt=judge_opt):
        net.train()
        # no task.train_epoch: a batch is several steps of two optimizers, the last of them on what the others made
        losses = torch.zeros(2, device=task.device)
        steps = 0
        for ids in task.batches(task.ids["train"]):
            losses += _one_step(task, (net, judge), (opt, judge_opt), task.x[ids])
            steps += 1
        task.record(generator_loss=losses[0] / steps, discriminator_loss=losses[1] / steps)
    return net


def _one_step(
    task: Task, nets: tuple[nn.Module, nn.Module], optimizers: tuple[Optimizer, Optimizer], real: Tensor
) -> Tensor:
    """Three steps of G and one of D; the last losses of both (2,)."""
    (net, judge), (opt, judge_opt) = nets, optimizers
    for _ in range(G_STEPS):
        fake = net(_noise(task, len(real)))
        loss = _cross_entropy(judge(fake), 1.0)
        opt.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        opt.step()
    judge_loss = (_cross_entropy(judge(real), 1.0) + _cross_entropy(judge(fake.detach()), 0.0)) / 2
    judge_opt.zero_grad(set_to_none=True)
    torch.autograd.backward(judge_loss)
    judge_opt.step()
    return torch.stack([loss.detach(), judge_loss.detach()])


def _cross_entropy(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))


def _noise(task: Task, n: int) -> Tensor:
    return torch.randn(n, Z, generator=task.generator("noise"), device=task.device, dtype=task.x.dtype)
