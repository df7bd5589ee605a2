"""The training schedule: epochs and a piecewise constant learning rate for SGD."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """SGD with momentum, coupled weight decay and a learning rate that is a function of the epoch."""

    epochs: int = Field(40, ge=1, description="passes over the training records")
    lr: float = Field(0.05, gt=0, description="learning rate from the first epoch")
    milestones: dict[int, float] = Field(
        default_factory=dict, description="{e: lr}: the learning rate once e epochs are done"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, not Nesterov")
    weight_decay: float = Field(5e-4, ge=0, description="per step, coupled (added to the gradient)")
    batch_size: int = Field(128, ge=1, description="records per step")

    @field_validator("milestones")
    @classmethod
    def _milestones(cls, value: dict[int, float]) -> dict[int, float]:
        if any(epoch < 1 or lr <= 0 for epoch, lr in value.items()):
            raise ValueError("milestones need epochs of 1 or more and learning rates above 0, as in {40 = 0.01}")
        return dict(sorted(value.items()))

    def lr_at(self, epoch: int) -> float:
        """Learning rate during an epoch, counted from 1."""
        lr = self.lr
        for done, value in self.milestones.items():
            if epoch > done:
                lr = value
        return lr
