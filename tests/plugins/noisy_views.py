"""Pins: a dear probe of few records, with noise of its own and several arrays, and a probe derived from it."""

from typing import ClassVar

import numpy as np
import torch

from miabench import Attack, Field, Probe


class NoisyViews(Attack, frozen=True):
    """Members' classes survive noise; of those that do, the surest."""

    access: ClassVar = "label"

    records: int | None = Field(None, ge=1, description="members and non-members that are asked about")

    def probes(self):
        views = Views(records=self.records)
        return (views, Surviving(views=views))

    def score(self, target, state):
        views, surviving = self.probes()
        return target[surviving] + 0.01 * target[views, "plain"] + 0.001 * target[views, "sum"].mean(1)


class Views(Probe, frozen=True):
    """Whether the class is right for the record itself, under noise, and the noise."""

    sees: ClassVar = "label"

    def observe(self, ask, x, y, noise):
        shifts = [noise.normal(*x.shape[1:]).to(x) for _ in range(5)]
        return {
            "plain": (ask(x) == y).double(),
            "noisy": torch.stack([(ask(x + shift) == y).double() for shift in shifts], 1),  # (n, 5)
            "sum": torch.stack([shift.double().flatten(1).sum(1) for shift in shifts], 1),
        }


class Surviving(Probe, frozen=True):
    """Share of noisy views whose class is right."""

    sees: ClassVar = "label"

    views: Views

    @property
    def of(self):
        return self.views

    def derive(self, answers, y):
        return answers["noisy"].mean(1) + np.zeros(len(y))
