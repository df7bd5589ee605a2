"""The network of the NN attack and its training, with the gradient written out.

Linear 128 - ReLU - dropout 0.2 - Linear 64 - ReLU - dropout 0.2 - Linear 64 - Linear 2, as in the CRL authors' code: no
activation between the last two. The matrices are so small that autograd, modules, an optimizer and even views of
tensors cost more time than the products do. What a step leaves out changes the weights by rounding alone:

- a record's class picks its row of the first matrix, and is not multiplied as a one-hot vector;
- the last two layers are linear and the loss sees only the difference of their outputs: they act as one vector;
- the gradient is added to SGD's velocity where it is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from miabench import Schedule

WIDTHS = (128, 64, 64, 2)
DROPPED = (128, 64)  # widths of the layers that ReLU and dropout follow: the first two
DROP = 0.2
INT16_LEVELS = 2**16


class Layer(NamedTuple):
    """A linear layer: weight (out, in) and bias (out,)."""

    weight: Tensor
    bias: Tensor


class Records(NamedTuple):
    """What the network learns from, float32.

    Attributes:
        x: inputs and a 1 (n, in + 1).
        y: None, or true classes (n,), int64, of as many as there are inputs: their one-hot vectors are further inputs.
        member: 1 for members, 0 for the others (n,).
    """

    x: Tensor
    y: Tensor | None
    member: Tensor

    @property
    def sizes(self) -> tuple[int, int]:
        """How many inputs, and how many classes (0 without)."""
        num_inputs = self.x.shape[1] - 1
        return num_inputs, 0 if self.y is None else num_inputs


class Matrices(NamedTuple):
    """The parameters, or something laid out like them: views of one vector. A matrix' last row is the layer's bias.

    Attributes:
        of_class: what the first layer adds for each class (C, 128).
        first: (in + 1, 128).
        second: (129, 64).
        third: (65, 64).
        fourth: (65, 2).
    """

    of_class: Tensor
    first: Tensor
    second: Tensor
    third: Tensor
    fourth: Tensor


def shapes_of(num_inputs: int, num_classes: int) -> list[tuple[int, int]]:
    """Those of `Matrices`, one after the other."""
    return [(num_classes, 128), *((ins + 1, outs) for ins, outs in pairwise((num_inputs, *WIDTHS)))]


def num_parameters(num_inputs: int, num_classes: int) -> int:
    """Length of the parameter vector."""
    return sum(rows * columns for rows, columns in shapes_of(num_inputs, num_classes))


def matrices_of(vector: Tensor, num_inputs: int, num_classes: int) -> Matrices:
    """Views of a vector of `num_parameters` numbers."""
    shapes = shapes_of(num_inputs, num_classes)
    parts = torch.split(vector, [rows * columns for rows, columns in shapes])
    return Matrices(*(part.view(shape) for part, shape in zip(parts, shapes, strict=True)))


def layers_of(vector: Tensor, num_inputs: int, num_classes: int) -> list[Layer]:
    """The parameters as those of linear layers, the first of which takes inputs and one-hot class (in + C,)."""
    of_class, first, *rest = matrices_of(vector, num_inputs, num_classes)
    first = torch.cat([first[:-1], of_class, first[-1:]])
    return [Layer(matrix[:-1].t().contiguous(), matrix[-1].clone()) for matrix in (first, *rest)]


def forward(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """What the network answers (n, 2) to inputs and one-hot class (n, in + C), dropout off."""
    for i, layer in enumerate(layers):
        x = F.linear(x, *layer)
        x = x.relu() if i < len(DROPPED) else x
    return x


def initial(num_inputs: int, num_classes: int, generator: torch.Generator) -> Tensor:
    """A fresh parameter vector: U(-b, b) with b = 1 / sqrt(in), PyTorch's default for linear layers."""
    vector = torch.empty(num_parameters(num_inputs, num_classes), device=generator.device, dtype=torch.float32)
    wide = num_inputs + num_classes
    for matrix, ins in zip(matrices_of(vector, num_inputs, num_classes), (wide, wide, *WIDTHS[:-1]), strict=True):
        bound = float(ins) ** -0.5
        matrix.uniform_(-bound, bound, generator=generator)
    return vector


class Masks:
    """Dropout's masks of 0 and 1 / (1 - DROP) for n records: (n, 128), (n, 64), drawn into the same memory every time.

    Sixteen random bits decide over a unit (its probability is right to 2^-17): torch.rand would take 3 times longer.
    """

    def __init__(self, n: int, device: torch.device) -> None:
        self.dropped = float(round(DROP * INT16_LEVELS) - INT16_LEVELS // 2)  # those below, of the numbers of 16 bits
        self.words = torch.empty((n, sum(DROPPED) // 4), dtype=torch.int64, device=device)
        self.numbers = self.words.view(torch.int16)
        self.kept = torch.empty((n, sum(DROPPED)), device=device)
        self.parts: Sequence[Tensor] = torch.split(self.kept, [*DROPPED], 1)

    def draw(self, generator: torch.Generator) -> Sequence[Tensor]:
        """The masks, which the next draw overwrites."""
        self.words.random_(-(2**63), None, generator=generator)
        self.kept.copy_(self.numbers).ge_(self.dropped).mul_(1 / (1 - DROP))
        return self.parts


def _linear(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A linear function of 64 units, and views of its weight (64,) and bias (1,)."""
    vector = like.new_empty(DROPPED[-1] + 1)
    return vector, vector[:-1], vector[-1:]


class Step:
    """Forward and backward pass for batches of one size, with its views and buffers made once.

    Args:
        weights: the parameters.
        velocity: to which the gradient is added.
        n: records in a batch.
    """

    def __init__(self, weights: Matrices, velocity: Matrices, n: int) -> None:
        self.weights, self.velocity = weights, velocity
        self.second_weight_t, self.third_t = weights.second[:-1].t(), weights.third.t()
        self.no, self.yes = weights.fourth.unbind(1)
        like = weights.first
        self.masks = Masks(n, like.device)
        self.first, self.second = (like.new_ones(n, width + 1) for width in DROPPED)  # outputs, and a 1 for the bias
        self.first_units, self.second_units = self.first[:, :-1], self.second[:, :-1]
        self.first_t, self.second_t = self.first.t(), self.second.t()
        self.last, self.last_weight, self.last_bias = _linear(like)  # layer 4: its second output less its first
        self.joined, self.joined_weight, self.joined_bias = _linear(like)  # layers 3 and 4
        self.gradient, self.gradient_weight, self.gradient_bias = _linear(like)  # of `last`
        self.signs = like.new_tensor([-1, 1])
        self.error = like.new_empty(n, DROPPED[0])

    def forward(self, batch: Records, generator: torch.Generator) -> Tensor:
        """The log odds of being a member (n,), with dropout."""
        masks = self.masks.draw(generator)
        of_class, first, second, third, _ = self.weights
        if batch.y is None:
            torch.mm(batch.x, first, out=self.first_units)
        else:
            torch.index_select(of_class, 0, batch.y, out=self.first_units).addmm_(batch.x, first)
        self.first_units.relu_().mul_(masks[0])
        torch.mm(self.first, second, out=self.second_units).relu_().mul_(masks[1])
        torch.sub(self.yes, self.no, out=self.last)
        torch.mv(third, self.last_weight, out=self.joined)
        self.joined_bias.add_(self.last_bias)
        return torch.mv(self.second, self.joined)

    def backward(self, batch: Records, error: Tensor) -> None:
        """Add the loss' gradient to the velocity, given its gradient at what `forward` gave (n,).

        A unit passes on 1 / (1 - DROP) of its error where it is active and kept: where its value is positive. On CUDA
        the records of a class are added in any order, which moves last digits.
        """
        of_class, first, second, third, fourth = self.velocity
        summed = torch.mv(self.second_t, error)
        third.addr_(summed, self.last_weight)
        torch.mv(self.third_t, summed, out=self.gradient_weight)
        self.gradient_bias.copy_(summed[-1:])
        fourth.addr_(self.gradient, self.signs)
        passed = torch.outer(error, self.joined_weight.div_(1 - DROP)).mul_(self.second_units.sign())
        second.addmm_(self.first_t, passed)
        torch.addmm(self.error, passed, self.second_weight_t, beta=0, alpha=1 / (1 - DROP), out=self.error)
        self.error.mul_(self.first_units.sign())
        first.addmm_(batch.x.t(), self.error)
        if batch.y is not None:
            of_class.index_add_(0, batch.y, self.error)


def batches(records: Records, size: int, generator: torch.Generator) -> Iterator[Records]:
    """The records in random order, `size` at a time."""
    order = torch.randperm(len(records.member), generator=generator, device=generator.device)
    classes = repeat(None) if records.y is None else torch.split(records.y[order], size)
    for ids, y, member in zip(
        torch.split(order, size), classes, torch.split(records.member[order], size), strict=False
    ):
        yield Records(records.x.index_select(0, ids), y, member)


@torch.no_grad()
def train(records: Records, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """The parameter vector after SGD on the mean cross entropy.

    Args:
        records: on the generator's device.
        schedule: of the training.
        generator: gives initial weights, batch orders and dropout.
    """
    vector = initial(*records.sizes, generator)
    velocity = torch.zeros_like(vector)
    weights, gradient = (matrices_of(values, *records.sizes) for values in (vector, velocity))
    count, size = len(records.member), schedule.batch_size
    steps = {n: Step(weights, gradient, n) for n in {min(size, count), count % size} - {0}}
    for epoch in range(1, schedule.epochs + 1):
        lr = schedule.lr_at(epoch)
        for batch in batches(records, size, generator):
            n = len(batch.member)
            odds = steps[n].forward(batch, generator)
            velocity.mul_(schedule.momentum).add_(vector, alpha=schedule.weight_decay)
            steps[n].backward(batch, odds.sigmoid_().sub_(batch.member).div_(n))
            vector.sub_(velocity, alpha=lr)
    return vector
