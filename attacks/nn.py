"""Neural network learnt on shadow models (Shokri et al., S&P 2017, arXiv:1610.05820): "NN-Based" in Table 1.

input   = concat(softmax(logits), one-hot true class), 2C wide, not sorted
network = Linear 128 - ReLU - dropout 0.2 - Linear 64 - ReLU - dropout 0.2 - Linear 64 - Linear 2, trained by cross
          entropy to tell members (1) from non-members (0) on the records of all shadow models
score   = o_1 - o_0, the log odds of softmax(o)_1, dropout off

Architecture and schedule are the CRL authors' (Fang and Kim, UAI 2024, section 5.1 and code). Their code's schedule for
ResNet18 on CIFAR-10 and for SVHN is another: lr 0.01, {50 = 0.001, 75 = 0.0001}. Differs from the code: there dropout
was presumably on when scoring, and the score was the probability, which ranks the same but rounds to 1. Records whose
softmax is the same in float64 are tied here too: the network sees nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from miabench.attacks._attack_network import Layer, Records, forward, layers_of, train
from miabench.attacks._distinct_rows import distinct_rows
from numpy.typing import NDArray
from pydantic import field_validator
from torch.nn import functional as F

from miabench import Attack, Field, Logits, Observed, Schedule, Scores, State, TrainingError
from miabench.logprob import log_softmax

SCHEDULE = Schedule(
    epochs=100,
    lr=0.1,
    milestones={30: 0.01, 60: 0.001, 90: 0.0001},
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=256,
)


class NeuralNetwork(Attack, frozen=True):
    """A classifier of the target's answers, learnt on shadow models."""

    version: ClassVar[int] = 2

    schedule: Schedule = Field(SCHEDULE, description="training of the attack's network; keys left out stay as they are")

    @field_validator("schedule", mode="before")
    @classmethod
    def _fill(cls, value: Any) -> Any:
        """A table in an experiment changes some keys of this attack's schedule, not of the classifiers'."""
        return {**SCHEDULE.model_dump(), **value} if isinstance(value, Mapping) else value

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """Weights and biases of the four layers, learnt on the generator's device.

        Raises:
            TrainingError: they are not finite.
        """
        p, y, member = (
            torch.from_numpy(np.concatenate(parts)).to(generator.device)
            for parts in zip(*(_learnt_from(shadow) for shadow in shadows), strict=True)
        )
        vector = train(Records(F.pad(p, (0, 1), value=1.0), y, member), self.schedule, generator)
        if not vector.isfinite().all():
            raise TrainingError(
                f"the training of the nn attack's network diverged: its weights are not finite with "
                f"lr = {self.schedule.lr:g}; set a lower schedule.lr"
            )
        layers = enumerate(layers_of(vector.cpu(), p.shape[1]))
        return {f"{part}{i}": value.numpy() for i, layer in layers for part, value in layer._asdict().items()}

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of being a member (N,)."""
        x, place = distinct_rows(attack_inputs(target))
        weights = {name: torch.from_numpy(value).double() for name, value in state.items()}
        layers = [Layer(weights[f"weight{i}"], weights[f"bias{i}"]) for i in range(len(state) // 2)]
        output = forward(layers, torch.from_numpy(x)).numpy()
        odds: NDArray[np.float64] = output[:, 1] - output[:, 0]
        return odds[place]


def attack_inputs(observed: Observed) -> NDArray[np.float64]:
    """What the network sees of each record (N, 2C)."""
    return np.concatenate([_softmax(observed), np.eye(observed.num_classes)[observed.labels]], axis=1)


def _learnt_from(shadow: Observed) -> tuple[NDArray[Any], ...]:
    """Softmax (N, C), classes (N,) and membership (N,) of a shadow model's records."""
    member = np.asarray(shadow.member, dtype=np.float32)
    return _softmax(shadow).astype(np.float32), np.asarray(shadow.labels, dtype=np.int64), member


def _softmax(observed: Observed) -> NDArray[np.float64]:
    return np.exp(log_softmax(observed[Logits()]))
