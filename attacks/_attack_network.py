"""The network of the NN attack and its training, with the gradient written out.

Linear 128 - ReLU - dropout 0.2 - Linear 64 - ReLU - dropout 0.2 - Linear 64 - Linear 2, as in the CRL authors' code: no
activation between the last two. The matrices are so small that autograd, modules and an optimizer cost more time than
the products do: so parameters are views of one vector, and a step is eleven products and three vector operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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


def num_parameters(num_inputs: int) -> int:
    """Length of the parameter vector."""
    return sum((ins + 1) * outs for ins, outs in pairwise((num_inputs, *WIDTHS)))


def layers_of(vector: Tensor, num_inputs: int) -> list[Layer]:
    """The layers as views of the parameter vector."""
    layers = []
    for ins, outs in pairwise((num_inputs, *WIDTHS)):
        weight, bias, vector = torch.split(vector, [outs * ins, outs, len(vector) - outs * ins - outs])
        layers.append(Layer(weight.view(outs, ins), bias))
    return layers


def initial(num_inputs: int, generator: torch.Generator) -> Tensor:
    """A fresh parameter vector: U(-b, b) with b = 1 / sqrt(in), PyTorch's default for linear layers."""
    vector = torch.empty(num_parameters(num_inputs), device=generator.device, dtype=torch.float32)
    for layer in layers_of(vector, num_inputs):
        bound = layer.weight.shape[1] ** -0.5
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return vector


def forward(layers: Sequence[Layer], x: Tensor, masks: Sequence[Tensor] = ()) -> list[Tensor]:
    """The input of every layer, then the output (n, 2).

    Args:
        layers: the network.
        x: inputs (n, in).
        masks: what the first two layers' outputs (n, 128) and (n, 64) are multiplied with; none in eval mode.
    """
    values = [x]
    for i, layer in enumerate(layers):
        x = torch.addmm(layer.bias, x, layer.weight.t())
        if i < len(DROPPED):
            x.relu_()
        if i < len(masks):
            x.mul_(masks[i])
        values.append(x)
    return values


def backward(
    layers: Sequence[Layer], values: Sequence[Tensor], masks: Sequence[Tensor], error: Tensor, out: Sequence[Layer]
) -> None:
    """Write the loss' gradient into `out`, given its gradient `error` (n, 2) at the output.

    Args:
        layers: the network.
        values: what `forward` gave.
        masks: what it was given.
        error: d loss / d output.
        out: laid out like `layers`.
    """
    for i in reversed(range(len(layers))):
        torch.mm(error.t(), values[i], out=out[i].weight)
        torch.sum(error, 0, out=out[i].bias)
        if i > 0:
            error = error @ layers[i].weight
        if 0 < i <= len(masks):
            error.mul_(masks[i - 1]).mul_(values[i].sign())  # after ReLU the sign is 0 or 1


def dropout(n: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Masks of 0 and 1 / (1 - DROP) for n records: (n, 128), (n, 64).

    Sixteen random bits decide over a unit (its probability is right to 2^-17): torch.rand would take 3 times longer.
    """
    words = torch.empty((n, sum(DROPPED) // 4), dtype=torch.int64, device=generator.device)
    numbers = words.random_(-(2**63), None, generator=generator).view(torch.int16).to(torch.float32)
    kept = numbers.ge_(round(DROP * INT16_LEVELS) - INT16_LEVELS // 2)
    return torch.split(kept.mul_(1 / (1 - DROP)), [*DROPPED], 1)


@torch.no_grad()
def train(x: Tensor, member: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """The parameter vector after SGD on the mean cross entropy.

    Args:
        x: inputs (R, in), float32, on the generator's device.
        member: (R,), 0 or 1, int64; the class to predict.
        schedule: of the training.
        generator: gives initial weights, batch orders and dropout.
    """
    vector = initial(x.shape[1], generator)
    velocity, gradient = torch.zeros_like(vector), torch.zeros_like(vector)
    layers, gradients = layers_of(vector, x.shape[1]), layers_of(gradient, x.shape[1])
    classes = F.one_hot(member, 2).to(x.dtype)
    for epoch in range(1, schedule.epochs + 1):
        order = torch.randperm(len(x), generator=generator, device=x.device)
        batches = (torch.split(rows[order], schedule.batch_size) for rows in (x, classes))
        for inputs, wanted in zip(*batches, strict=True):
            masks = dropout(len(inputs), generator)
            values = forward(layers, inputs, masks)
            error = values[-1].softmax(1).sub_(wanted).div_(len(inputs))
            backward(layers, values, masks, error, gradients)
            gradient.add_(vector, alpha=schedule.weight_decay)
            velocity.mul_(schedule.momentum).add_(gradient)
            vector.sub_(velocity, alpha=schedule.lr_at(epoch))
    return vector
