"""The network of `samia`, a transformer over classes, and its training.

batch norm of the 3C inputs - per class Linear 64 - GELU - 3 encoder layers (4 heads, width 64, feed-forward 128, GELU,
dropout 0.2, layer norm after each sum) - all classes side by side: Linear 64 - ReLU - Linear 2. Weights of linear
layers are drawn as in the authors' code: Glorot's normal, biases 0.

The layers are written out: PyTorch's own take 1.6 times the CPU time, a third of it for the random numbers of dropout.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Schedule

WIDTH, HEADS, FEED_FORWARD, LAYERS, DROP = 64, 4, 128, 3, 0.2
INT16_LEVELS = 2**16


class SelfAttentionNetwork(nn.Module):
    """Members or not, from three numbers a class.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3 * num_classes)
        self.embed = nn.Linear(3, WIDTH)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.hidden = nn.Linear(WIDTH * num_classes, WIDTH)
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Outputs (n, 2) for inputs (n, 3C); dropout is drawn from the generator, and off without one."""
        tokens = F.gelu(self.embed(self.norm(x).view(len(x), 3, -1).transpose(1, 2)))
        for layer in self.layers:
            tokens = layer(tokens, generator)
        logits: Tensor = self.out(F.relu(self.hidden(tokens.flatten(1))))
        return logits


class EncoderLayer(nn.Module):
    """Self-attention between classes, then a layer for each: sums that are normalised (Vaswani et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.first_norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, FEED_FORWARD)
        self.narrow = nn.Linear(FEED_FORWARD, WIDTH)
        self.second_norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Tokens (n, C, 64) for tokens (n, C, 64)."""
        x = self.first_norm(x + dropout(self._attend(x, generator), generator))
        inner = dropout(F.gelu(self.widen(x)), generator)
        normed: Tensor = self.second_norm(x + dropout(self.narrow(inner), generator))
        return normed

    def _attend(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        n, classes, _ = x.shape
        q, k, v = self.query_key_value(x).view(n, classes, 3, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
        shares = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        heads = dropout(shares, generator) @ v
        attended: Tensor = self.attended(heads.transpose(1, 2).reshape(n, classes, WIDTH))
        return attended


def dropout(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Each number 0 with probability DROP, else times 1 / (1 - DROP); as it is without a generator.

    Sixteen random bits decide over a number (its probability is right to 2^-17): PyTorch's own takes 4 times longer.
    """
    if generator is None:
        return x
    words = torch.empty(math.ceil(x.numel() / 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    dropped = float(round(DROP * INT16_LEVELS) - INT16_LEVELS // 2)  # those below, of the numbers of 16 bits
    kept = words.view(torch.int16)[: x.numel()].view(x.shape).to(x.dtype).ge_(dropped)
    return x * kept.mul_(1 / (1 - DROP))


def untrained(num_classes: int) -> SelfAttentionNetwork:
    """A network whose weights are to be set; the global generator, which PyTorch draws some from, is left alone."""
    with torch.random.fork_rng(devices=[]):
        return SelfAttentionNetwork(num_classes)


def train(x: Tensor, member: Tensor, schedule: Schedule, generator: torch.Generator) -> SelfAttentionNetwork:
    """The network after SGD on the mean cross entropy.

    Args:
        x: inputs (R, 3C), on the generator's device.
        member: 1 for members, 0 for the others (R,), int64.
        schedule: of the training.
        generator: gives initial weights, batch orders and dropout.
    """
    net = untrained(x.shape[1] // 3).to(x.device)
    _draw_weights(net, generator)
    sgd = torch.optim.SGD(net.parameters(), schedule.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay)
    for epoch in range(1, schedule.epochs + 1):
        sgd.param_groups[0]["lr"] = schedule.lr_at(epoch)
        order = torch.randperm(len(x), generator=generator, device=x.device)
        for rows in torch.split(order, schedule.batch_size):
            if len(rows) > 1:  # batch norm has no variance of one record
                sgd.zero_grad()
                F.cross_entropy(net(x[rows], generator), member[rows]).backward()  # type: ignore[no-untyped-call]
                sgd.step()
    return net


def _draw_weights(net: nn.Module, generator: torch.Generator) -> None:
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
