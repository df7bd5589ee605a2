"""What was measured, as evaluation/measure.py writes it, read from a store that may be a stranger's."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on

from miabench.errors import harmless
from miabench.evaluation.references import ReferenceCounts
from miabench.metrics.names import ACCURACIES, ATTACK_METRICS


def _known(metric: str) -> str:
    if metric not in (*ACCURACIES, *ATTACK_METRICS):
        raise ValueError(f"there is no metric {harmless(metric, 40)!r}")
    return metric


Fraction: TypeAlias = Annotated[float, Field(ge=-1, le=1)]  # an advantage may be negative


@with_config(ConfigDict(strict=True))
class MeasuredRow(TypedDict):
    """One metric: of an attack on one target, or an accuracy of the target.

    Attributes:
        metric: its name.
        value: None where there is none.
        low: end of the interval, as `high`.
        n_members: records that it was measured on, as `n_nonmembers`.
        reason: why there is no value, in words that may be shown.
        realised_fpr: of a TPR at a fixed FPR.
        references: per record, of an attack that compares with reference models.
        classes_without_threshold: of a balanced accuracy, how many had too few records of shadows.
    """

    metric: Annotated[str, AfterValidator(_known)]
    value: Fraction | None
    low: Fraction | None
    high: Fraction | None
    n_members: int
    n_nonmembers: int
    reason: Annotated[str, AfterValidator(harmless)] | None
    realised_fpr: NotRequired[Fraction]
    references: NotRequired[ReferenceCounts]
    classes_without_threshold: NotRequired[int]


OfClass = TypedDict("OfClass", {"class": int})


class ClassRow(MeasuredRow, OfClass):
    """One metric of the records of a class."""


ROWS = TypeAdapter(list[MeasuredRow])
CLASS_ROWS = TypeAdapter(list[ClassRow])
