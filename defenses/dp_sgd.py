"""DP-SGD (Abadi et al., CCS 2016, arXiv:1607.00133, Algorithm 1), through Opacus (Yousefpour et al., arXiv:2109.12298).

Every step takes each of the n members with probability q = batch_size / n (an empty batch is a step too), and gives the
schedule's SGD, with its momentum and weight decay, the gradient
    [ sum_i g_i * min(1, C / ||g_i||) + N(0, sigma^2 C^2 I) ] / batch_size,   g_i: gradient of record i's cross entropy.
The accountant adds up what the steps spend; (epsilon, delta) of adding or removing one record is in the history, per
epoch, and in reports. It covers the network alone: not the choice of hyper-parameters, not a normalisation computed
from the data, not the members' loss and accuracy in the history. Any epsilon may be asked for, also one too large to
promise anything.
BatchNorm mixes the records of a batch, so every BatchNorm layer is replaced by GroupNorm: with gcd(32, channels) groups
(the CRL authors use 32), with one group after fully connected layers: another model than the other defenses train.
Needs Opacus: pip install 'miabench[dp]'. sigma and C of the CRL paper are unpublished: the defaults are ours.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from miabench.defenses._planning import built
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from miabench import Claim, Classifier, Data, Defense, Field, Model, Range, Task, UserError

GROUPS = 32  # of the CRL authors' *_gn.py, and of Wu and He (ECCV 2018)
# of per-record gradients held at once; a CPU is quickest where its cache holds them (measured: twice as quick as 1 GiB)
GRADIENT_BYTES = {"cpu": 2**23}
GRADIENT_BYTES_ELSEWHERE = 2**30
FEWEST_AT_ONCE = 8
# Opacus' Renyi orders, and some below for large epsilons and above for small ones: more of them is tighter, but slower
ORDERS = (1.0001, 1.0003, 1.001, 1.003, 1.01, 1.03, *(1 + i / 10 for i in range(1, 100)), *range(12, 64), 128, 256, 512)


class DPSGD(Defense, frozen=True):
    """Clips each record's gradient and adds noise, for differential privacy."""

    claim: ClassVar[Claim] = Claim(
        "(ε, δ) = ({epsilon}, {delta})",
        "(ε, δ) is what one training spends, for adding or removing one record; it covers the network alone: not the "
        "choice of hyper-parameters, not a normalisation computed from the data",
    )
    tune: ClassVar = {
        "noise_multiplier": Range(0.1, 4, log=True, unless="target_epsilon"),
        "max_grad_norm": Range(0.1, 10, log=True),
    }

    noise_multiplier: float = Field(1.0, gt=0, description="σ: std of the noise over C; not used with target_epsilon")
    target_epsilon: float | None = Field(None, gt=0, description="ε that the whole schedule may spend; chooses σ")
    delta: float | None = Field(None, gt=0, lt=1, description="δ; None: 1 / number of members")
    max_grad_norm: float = Field(1.0, gt=0, description="C: norm to which each record's gradient is clipped")
    accountant: Literal["rdp", "prv"] = Field("rdp", description="prv is tighter; its memory grows with ε and steps")
    physical_batch_size: int | None = Field(
        None, ge=1, description="records differentiated at once; None: as many as their gradients' size allows"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.target_epsilon is not None and self.noise_multiplier != 1.0:
            raise ValueError("give noise_multiplier or target_epsilon, not both")
        return self

    def unsupported(self, data: Data, model: Model) -> str | None:
        """Opacus is not installed, or cannot tell the gradients of this model's records apart."""
        if find_spec("opacus") is None:
            return "it needs Opacus, which is not installed: pip install 'miabench[dp]'"
        net = self.architecture(built(model, data))
        return _refused(net, data.inputs(torch.arange(3), torch.device("cpu")), data.y[:3])

    def advice(self, data: Data, model: Model) -> Sequence[str]:
        """That the architecture is another one than under the other defenses."""
        count = sum(isinstance(layer, _BatchNorm) for layer in built(model, data).modules())
        return [f"dp-sgd replaces the model's {count} BatchNorm layers by GroupNorm"] if count else []

    def architecture(self, net: nn.Module) -> nn.Module:
        """GroupNorm for BatchNorm, freshly initialised."""
        for name, layer in net.named_children():
            if isinstance(layer, _BatchNorm):
                # after a fully connected layer a group of one channel holds one number, which would always become 0
                groups = 1 if isinstance(layer, nn.BatchNorm1d) else math.gcd(GROUPS, layer.num_features)
                setattr(net, name, nn.GroupNorm(groups, layer.num_features, affine=layer.affine))
            else:
                self.architecture(layer)
        return net

    def fit(self, task: Task) -> nn.Module:
        """Train by noisy steps on Poisson batches.

        Raises:
            UserError: no noise is enough for `target_epsilon`; or products are in bf16.
        """
        net = cast(Classifier, task.net())
        if net.products is not None:
            raise UserError(
                'dp-sgd clips gradients that must be exact, and those of bf16 are not; set precision = "float32"'
            )
        opt = task.optimizer(net)
        n = len(task.ids["train"])
        delta = self.delta or 1 / n
        private, accountant = self._private(task, opt, delta)
        with per_record_gradients(net) as hooked:
            for _ in task.epochs(net=net, opt=opt, accountant=accountant):
                net.train()
                # no task.train_epoch: a batch may be empty, and its per-record gradients are summed part by part
                seen = torch.zeros(3, device=task.device)
                for ids in task.batches(task.ids["train"], how="poisson"):
                    seen += _step(task, hooked, private, torch.split(ids, self._at_once(net, task.device)))
                loss, accuracy = seen[:2] / seen[2].clamp(min=1)
                task.record(loss=loss, accuracy=accuracy, epsilon=spent(accountant, delta), delta=delta)
        return net

    def _private(self, task: Task, opt: torch.optim.Optimizer, delta: float) -> tuple[Any, Any]:
        """Opacus' optimizer around `opt`, and the accountant that watches its steps."""
        from opacus.accountants import create_accountant
        from opacus.optimizers import DPOptimizer

        n, size = len(task.ids["train"]), task.schedule.batch_size
        rate = min(1.0, size / n)
        steps = task.schedule.epochs * max(1, round(n / size))  # as task.batches has it
        private = DPOptimizer(
            opt,
            noise_multiplier=self.sigma(rate, steps, delta),
            max_grad_norm=self.max_grad_norm,
            expected_batch_size=min(size, n),
            generator=task.generator("noise"),
        )
        accountant = create_accountant(self.accountant)
        private.attach_step_hook(accountant.get_optimizer_hook_fn(sample_rate=rate))
        return private, accountant

    def sigma(self, rate: float, steps: int, delta: float) -> float:
        """The noise multiplier: as given, or the smallest that keeps to `target_epsilon`.

        Args:
            rate: q, probability of each record to be in a batch.
            steps: of the whole schedule.
            delta: of (epsilon, delta).

        Raises:
            UserError: no noise is enough.
        """
        if self.target_epsilon is None:
            return self.noise_multiplier
        try:
            return _sigma(self.target_epsilon, delta, rate, steps, self.accountant)
        except ValueError as error:
            raise UserError(
                f"dp-sgd: no noise_multiplier is enough for target_epsilon = {self.target_epsilon:g} with delta = "
                f"{delta:g} and {steps} steps; raise target_epsilon"
            ) from error

    def _at_once(self, net: nn.Module, device: torch.device) -> int:
        size = sum(p.numel() * p.element_size() for p in net.parameters())
        allowed = GRADIENT_BYTES.get(device.type, GRADIENT_BYTES_ELSEWHERE)
        return self.physical_batch_size or max(FEWEST_AT_ONCE, allowed // size)


@contextmanager
def per_record_gradients(net: nn.Module) -> Iterator[nn.Module]:
    """The network with Opacus' hooks, for a while: backward of a summed loss leaves p.grad_sample (B, *p.shape)."""
    from opacus import GradSampleModule

    hooked = GradSampleModule(net, loss_reduction="sum")
    try:
        with warnings.catch_warnings():
            # the first layer's input, the data, has no gradient: as it should be
            warnings.filterwarnings("ignore", "Full backward hook is firing when gradients are computed")
            yield hooked
    finally:
        hooked.to_standard_module()


@contextmanager
def _any_order() -> Iterator[None]:
    """Silences a warning where the best of ORDERS is the first or last: epsilon then is less tight, but holds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order is the")
        yield


def spent(accountant: Any, delta: float) -> float:
    """Epsilon of all steps that an accountant of Opacus has seen.

    Renyi divergences add up, so those of one step are computed once; the accountant itself would do so at every call,
    which costs more than an epoch of a small network.
    """
    if accountant.mechanism() != "rdp":
        return float(accountant.get_epsilon(delta=delta))
    from opacus.accountants.analysis.rdp import get_privacy_spent

    rdp = sum(steps * _rdp_of_one_step(sigma, rate) for sigma, rate, steps in accountant.history)
    with _any_order():
        return float(get_privacy_spent(orders=ORDERS, rdp=rdp, delta=delta)[0])


@cache
def _rdp_of_one_step(sigma: float, rate: float) -> NDArray[np.float64]:
    """Renyi divergences at ORDERS."""
    from opacus.accountants.analysis.rdp import compute_rdp

    divergences: NDArray[np.float64] = compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=ORDERS)
    return divergences


@cache  # the same for every run and role
def _sigma(target_epsilon: float, delta: float, rate: float, steps: int, accountant: str) -> float:
    """The smallest noise multiplier that keeps to an epsilon, found by bisection."""
    from opacus.accountants.utils import get_noise_multiplier

    with _any_order():
        sigma: float = get_noise_multiplier(
            target_epsilon=target_epsilon,
            target_delta=delta,
            sample_rate=rate,
            steps=steps,
            accountant=accountant,
            epsilon_tolerance=target_epsilon / 1000,
            alphas=ORDERS,
        )
    return sigma


def _step(task: Task, hooked: nn.Module, private: Any, parts: Sequence[Tensor]) -> Tensor:
    """One noisy step on a batch given in physical parts; sums of loss, of correct answers and of records (3,)."""
    seen = torch.zeros(3, device=task.device)
    for i, ids in enumerate(parts, 1):
        private.zero_grad(set_to_none=True)  # what it left has a layout of its own: adding to that is slow
        if len(ids):
            y = task.y[ids]
            logits = hooked(task.augment(task.x[ids]))[0]
            loss = F.cross_entropy(logits, y, reduction="sum")
            torch.autograd.backward(loss)
            correct = (logits.detach().argmax(1) == y).sum()
            seen += torch.stack([loss.detach(), correct, torch.full_like(correct, len(ids))])
        else:
            for p in private.params:
                p.grad_sample = p.new_zeros((0, *p.shape))
        private.signal_skip_step(i < len(parts))
        private.step()
    return seen


def _refused(net: nn.Module, x: Tensor, y: Tensor) -> str | None:
    """Why Opacus cannot serve a network, which it is tried on with three records, or None."""
    from opacus.validators import ModuleValidator

    problems = ModuleValidator.validate(net.train())
    try:
        problems = problems or _faults(net, x, y)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        problems = [error]
    if not problems:
        return None
    first_sentence = str(problems[0]).partition(". ")[0]
    return f"Opacus gives no per-record gradients of this model: {first_sentence}"


def _faults(net: nn.Module, x: Tensor, y: Tensor) -> list[str]:
    """What is wrong with the gradients of the first record beside the second, and beside the third."""
    (own, together), (beside_another, _) = (_tried(net, x[pair], y[pair]) for pair in ([0, 1], [0, 2]))
    if _differ(own.sum(0), together):
        return ["those of the records do not add up to that of the batch"]
    if _differ(own[0], beside_another[0]):
        return ["a record's depends on the others in its batch"]
    return []


def _tried(net: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Opacus' gradients of each record (B, P), and the gradient of their summed loss (P,).

    Raises:
        ValueError: there are none of some parameter.
    """
    with torch.random.fork_rng(devices=[]), per_record_gradients(net) as hooked:  # the same dropout every time
        torch.autograd.backward(F.cross_entropy(hooked(x)[0], y, reduction="sum"))
        own, together = [], []
        for name, p in net.named_parameters():
            if p.requires_grad:
                own.append(_by_record(name, p, len(y)))
                together.append(cast(Tensor, p.grad).flatten())
        net.zero_grad(set_to_none=True)
    return torch.cat(own, 1), torch.cat(together)


def _by_record(name: str, p: nn.Parameter, n: int) -> Tensor:
    """Opacus' gradients of one parameter (n, ...), flat."""
    gradients: Tensor | None = getattr(p, "grad_sample", None)
    if gradients is None:
        raise ValueError(f"the loss does not reach {name}")
    if len(gradients) != n:
        raise ValueError(f"there is not one for each record of {name}")
    return gradients.flatten(1)


def _differ(a: Tensor, b: Tensor) -> bool:
    """By more than rounding."""
    return bool((a - b).norm() > 0.01 * b.norm())
