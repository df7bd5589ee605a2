"""What tuning may change for a defense: the ranges its fields declare, else the schedule's learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from miabench.errors import UserError, nearest
from miabench.experiment.model import DefenseChoice
from miabench.plugins.base import EPOCHS
from miabench.plugins.defense import Defense
from miabench.training.schedule import Schedule

LEARNING_RATE = "schedule.lr"
LR_FACTOR = 10.0  # the learning rate is tried from a tenth to ten times the schedule's


@dataclass(frozen=True)
class Dimension:
    """One number to choose.

    Attributes:
        name: a hyper-parameter, or `schedule.lr`.
        low: smallest value.
        high: largest value.
        log: values are spread evenly over orders of magnitude.
        integer: whole numbers only.
        first: what the first trial takes: the range's nearest value to the default, or its middle without a default.
    """

    name: str
    low: float
    high: float
    log: bool
    integer: bool
    first: float


def search_space(defense: type[Defense], choice: DefenseChoice, schedule: Schedule) -> tuple[Dimension, ...]:
    """What is searched: declared ranges of what the experiment does not set itself, or else the learning rate.

    So a defense without hyper-parameters spends the same budget as the others, on the one thing that it has.

    Args:
        defense: whose ranges they are.
        choice: what the experiment sets.
        schedule: the defense's.

    Raises:
        UserError: a range for a hyper-parameter that the defense does not have.
    """
    for name in defense.tune:
        if name not in defense.model_fields:
            hint = nearest(name, defense.model_fields)
            raise UserError(f"defense {choice.name} declares a range for {name!r}, which it does not have{hint}")
    names = [name for name, tried in defense.tune.items() if choice.params.keys().isdisjoint((name, tried.unless))]
    if names or not {"lr", "milestones"}.isdisjoint(choice.schedule):
        return tuple(_dimension(defense, name, schedule) for name in names)
    return (Dimension(LEARNING_RATE, schedule.lr / LR_FACTOR, schedule.lr * LR_FACTOR, True, False, schedule.lr),)


def _dimension(defense: type[Defense], name: str, schedule: Schedule) -> Dimension:
    declared, field = defense.tune[name], defense.model_fields[name]
    high = schedule.epochs if declared.high == "epochs" else declared.high
    middle = math.sqrt(declared.low * high) if declared.log else (declared.low + high) / 2
    first = min(max(field.default if isinstance(field.default, int | float) else middle, declared.low), high)
    integer = field.annotation is int or EPOCHS in field.metadata
    return Dimension(name, declared.low, high, declared.log, integer, first)


def with_values(choice: DefenseChoice, values: Mapping[str, float]) -> DefenseChoice:
    """A defense at chosen values; its milestones keep their ratio to a chosen learning rate."""
    params = {name: value for name, value in values.items() if name != LEARNING_RATE}
    schedule = {"lr": values[LEARNING_RATE]} if LEARNING_RATE in values else {}
    update = {"params": {**choice.params, **params}, "schedule": {**choice.schedule, **schedule}}
    return choice.model_copy(update=update)
