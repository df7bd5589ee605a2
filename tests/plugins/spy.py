"""An attack that learns nothing: its state is what `fit` was shown, its scores are what `score` was shown."""

from typing import Literal

import numpy as np
import torch

from miabench import Attack, Logits, Probe


class Numbers(Probe, frozen=True):
    """The number of each record, of the whole pool."""

    whole_pool = True

    def observe(self, ask, x, y, noise):
        return x.flatten(1).amax(1)


class Spy(Attack, frozen=True):
    """Scores tell one thing about every record."""

    references = "shadows"
    on_trial: Literal["number", "label", "place", "membership", "reference", "level"] = "number"

    def probes(self):
        return (Logits(), Numbers())

    def fit(self, shadows, generator):
        state = {"count": len(shadows), "draw": torch.rand(4, generator=generator).numpy()}
        for i, shadow in enumerate(shadows):
            state |= {
                f"{i}.classes": shadow.num_classes,
                f"{i}.member": shadow.member,
                f"{i}.labels": shadow.labels,
                f"{i}.logits": shadow[Logits()],
                f"{i}.numbers": shadow[Numbers()],
                f"{i}.reference_logits": shadow.references[Logits()],
                f"{i}.reference_numbers": shadow.references[Numbers()],
            }
        return state

    def score(self, target, state):
        return getattr(self, f"_{self.told}")(target).astype(np.float64)

    def _number(self, target):
        return target[Numbers()]

    def _label(self, target):
        return target.labels

    def _place(self, target):
        return np.arange(len(target))

    def _membership(self, target):
        """1 where it is told, 0 where it is hidden."""
        return np.full(len(target), target.member is not None)

    def _reference(self, target):
        """A number that depends on every reference, and on their order."""
        first = target.references[Logits()][:, :, 0].astype(np.float64)
        return np.tensordot(3.0 ** np.arange(len(first)), first, 1)

    def _level(self, target):
        """A few levels. Shadows' members have the higher ones, class by class; the target's levels are arbitrary."""
        number = target[Numbers()].astype(np.int64)
        if target.member is None:
            return number * 7 % 9
        return 2 * target.labels + 2 * target.member + number % 3
