"""What a dataset is: where the records come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import Field, field_validator

from miabench.plugins.base import Plugin
from miabench.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from miabench.data.pool import Data


class Dataset(Plugin, frozen=True):
    """Where the records come from. Fields are the user's arguments.

    Attributes:
        schedule: what networks are trained on where an experiment writes no schedule.
    """

    schedule: ClassVar[Schedule] = Schedule()

    deduplicate: bool = Field(False, description="drop exact duplicates (same input), keeping the first")
    records: int | float | None = Field(
        None, description="use only this many records (8 or more), or this share (below 1), classes in proportion"
    )

    @field_validator("records")
    @classmethod
    def _count_or_share(cls, value: float | None) -> float | None:
        if value is None or 0 < value < 1:
            return value
        if value < 8 or not float(value).is_integer():
            raise ValueError("should be a whole number of 8 or more, or a share of the pool above 0 and below 1")
        return int(value)

    def load(self, root: Path) -> Data:
        """The pool: all records of the publisher's train and test parts together.

        Args:
            root: folder for downloads and decoded copies; may not exist yet.

        Raises:
            UserError: naming the file or row that is wrong.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override load")

    @final
    def pool(self, root: Path) -> Data:
        """What `load` gives, checked, without duplicates where asked, and cut to `records`.

        Raises:
            UserError: data that is missing or damaged; NaN or infinite inputs, one class only, too few records.
        """
        from miabench.data.pool import prepared

        return prepared(self.load(root), type(self).__name__, self.deduplicate, self.records)
