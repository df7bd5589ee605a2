"""The training schedule: epochs and a piecewise constant learning rate for SGD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from miabench.errors import UserError, expected, nearest


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """SGD with momentum, coupled weight decay and a learning rate that is a function of the epoch."""

    epochs: int = Field(40, ge=1, le=10**9, description="passes over the training records")
    lr: float = Field(0.05, gt=0, description="learning rate from the first epoch")
    milestones: dict[int, float] = Field(
        default_factory=dict, description="{e: lr}: the learning rate once e epochs are done"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, not Nesterov")
    weight_decay: float = Field(5e-4, ge=0, description="per step, coupled (added to the gradient)")
    batch_size: int = Field(128, ge=1, le=2**31 - 1, description="records per step")

    @field_validator("milestones")
    @classmethod
    def _milestones(cls, value: dict[int, float]) -> dict[int, float]:
        if any(epoch < 1 or lr <= 0 for epoch, lr in value.items()):
            raise ValueError("milestones need epochs of 1 or more and learning rates above 0, as in {40 = 0.01}")
        return dict(sorted(value.items()))

    def replaced(self, changes: Mapping[str, Any]) -> Schedule:
        """This schedule with some keys replaced; a new `lr` alone takes the milestones along, in proportion.

        Raises:
            UserError: keys that a schedule does not have, values out of bounds.
        """
        table = self.model_dump() | dict(changes)
        try:
            replaced = Schedule.model_validate(table)
        except ValidationError as error:
            raise UserError(*(_problem(item) for item in error.errors())) from None
        if "lr" in changes and "milestones" not in changes:
            milestones = {epoch: lr * (replaced.lr / self.lr) for epoch, lr in self.milestones.items()}
            return replaced.model_copy(update={"milestones": milestones})
        return replaced

    def lr_at(self, epoch: int) -> float:
        """Learning rate during an epoch, counted from 1."""
        lr = self.lr
        for done, value in self.milestones.items():
            if epoch > done:
                lr = value
        return lr


def _problem(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"schedule has no key {key!r}{nearest(key, Schedule.model_fields)}"
    return f"schedule.{key} = {item['input']!r}: {expected(item)}"
