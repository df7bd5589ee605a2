"""An attack whose score is a small network's: its training on known members and non-members, and its log odds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from miabench.attacks._attack_network import Layer, Records, forward, layers_of, train
from miabench.attacks._distinct_rows import distinct_rows
from miabench.attacks._learns_by_schedule import LearnsBySchedule
from numpy.typing import NDArray
from torch.nn import functional as F

from miabench import Field, Schedule, Scores, State

SCHEDULE = Schedule(
    epochs=100,
    lr=0.1,
    milestones={30: 0.01, 60: 0.001, 90: 0.0001},
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=256,
)


class LearnsAttackNetwork(LearnsBySchedule, frozen=True):
    """What attacks share that learn the network of the NN attack, each on inputs of its own."""

    version: ClassVar[int] = 2  # 2: the same steps in another order of operations

    schedule: Schedule = Field(SCHEDULE, description="training of the attack's network; keys left out stay as they are")

    def learn(
        self,
        x: NDArray[np.floating],
        member: NDArray[np.bool_],
        generator: torch.Generator,
        y: NDArray[np.integer] | None = None,
    ) -> State:
        """Weights and biases of the four layers, learnt on the generator's device.

        Args:
            x: inputs (R, in).
            member: whether each record was a member (R,).
            generator: gives initial weights, batch orders and dropout.
            y: true classes (R,) of as many as there are columns of x, whose one-hot vector is a further input.

        Raises:
            TrainingError: they are not finite.
        """
        inputs = F.pad(torch.from_numpy(x.astype(np.float32)), (0, 1), value=1.0)
        classes = None if y is None else torch.from_numpy(y.astype(np.int64)).to(generator.device)
        labels = torch.from_numpy(member.astype(np.float32))
        records = Records(inputs.to(generator.device), classes, labels.to(generator.device))
        vector = train(records, self.schedule, generator)
        layers = enumerate(layers_of(vector.cpu(), *records.sizes))
        return self.finite(
            {f"{part}{i}": value.numpy() for i, layer in layers for part, value in layer._asdict().items()}
        )


def log_odds_of_member(x: NDArray[np.float64], learnt: State) -> Scores:
    """Log odds of being a member (N,) under what `learn` gave, dropout off, of inputs x (N, in)."""
    distinct, place = distinct_rows(x)
    weights = {name: torch.from_numpy(value).double() for name, value in learnt.items()}
    layers = [Layer(weights[f"weight{i}"], weights[f"bias{i}"]) for i in range(len(learnt) // 2)]
    output = forward(layers, torch.from_numpy(distinct)).numpy()
    odds: Scores = output[:, 1] - output[:, 0]
    return odds[place]
