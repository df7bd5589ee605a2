"""What a plugin is: the base classes of defenses, attacks, probes, datasets and models.

Built-ins and users' plugins are the same: one file, one public class, called after its file. Hyper-parameters
are pydantic fields, with the paper's symbol, meaning, bounds and default on one line. Plugins are frozen: what a
training or an attack learns lives in what its methods return.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel

Kind: TypeAlias = Literal["defense", "attack", "dataset", "model"]


class FieldMark(Enum):
    """What a field's number means to the engine, beside the defense itself."""

    EPOCHS = "epochs of a schedule: `--scale` shortens them with it, a default too; tuning tries whole numbers"


EPOCHS = FieldMark.EPOCHS
Epochs: TypeAlias = Annotated[int, EPOCHS]
"""A field that counts epochs: `stop_epoch: Epochs = Field(10, ge=1)`; `Annotated[int | None, EPOCHS]` may be None."""


class Plugin(BaseModel, frozen=True, extra="forbid"):
    """What all plugins share. Raise `version` when results change: what is stored is then computed anew.

    A field that is added when results are stored already, and changes none while it has its default, is marked:
    `steps: Annotated[int, LATER] = 1`. What is stored is then found again.
    """

    version: ClassVar[int] = 1
