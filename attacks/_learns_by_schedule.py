"""An attack that learns a network by a schedule of its own, not the experiment's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import field_validator

from miabench import Attack, Schedule, State, TrainingError


class LearnsBySchedule(Attack, frozen=True):
    """What attacks share whose network is trained with SGD; each gives `schedule` its default."""

    schedule: Schedule

    @field_validator("schedule", mode="before")
    @classmethod
    def _fill(cls, value: Any) -> Any:
        """A table in an experiment changes some keys of this attack's schedule, not of the classifiers'."""
        return {**cls.model_fields["schedule"].default.model_dump(), **value} if isinstance(value, Mapping) else value

    def finite(self, state: State) -> State:
        """The network's arrays, as they are.

        Raises:
            TrainingError: some are not finite.
        """
        if not all(np.isfinite(value).all() for value in state.values()):
            raise TrainingError(
                f"the training of the attack's network diverged: its weights are not finite with "
                f"lr = {self.schedule.lr:g}; set a lower schedule.lr"
            )
        return state
