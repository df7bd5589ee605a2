"""What of a model's fields stands in hashes, so that a field more or a machine's detail orphans no stored result.

A field says it in its annotation: `steps: Annotated[int, LATER] = 1`. What says nothing stands in hashes as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Mark(Enum):
    """When a field is left out of every hash."""

    LATER = "while it has its default: the field was added when results were stored already"
    NEVER = "always: the field decides no result"


LATER = Mark.LATER
NEVER = Mark.NEVER


@dataclass(frozen=True)
class HashedAs:
    """A field that stands in hashes in another form.

    Attributes:
        form: from the model to what stands for the field, as JSON.
    """

    form: Callable[[Any], Any]


def hashed(model: BaseModel) -> dict[str, Any]:
    """A model as JSON, as it stands in hashes: every field's mark is heeded, those of models within it too."""
    content = model.model_dump(mode="json")
    _heed(model, content)
    return content


def _heed(value: Any, content: Any) -> None:
    """Change the JSON of a value into its form for hashes, in place."""
    match value, content:
        case ((None | str() | int() | float()), _):
            pass
        case BaseModel(), dict():
            for field in _fields(type(value)):
                if field.name in content:
                    _heed_field(value, field, content)
        case Mapping(), dict():
            for inner, json in zip(value.values(), content.values(), strict=True):
                _heed(inner, json)
        case ((list() | tuple()), list()):
            for inner, json in zip(value, content, strict=True):
                _heed(inner, json)


class _Field(NamedTuple):
    """A field of a class of models, and what its annotation says."""

    name: str
    info: FieldInfo
    mark: Mark | None
    other: HashedAs | None


@cache
def _fields(kind: type[BaseModel]) -> Sequence[_Field]:
    """The fields of a class: planning hashes ten thousands of models of a few."""
    return [
        _Field(
            name=name,
            info=info,
            mark=next((mark for mark in info.metadata if isinstance(mark, Mark)), None),
            other=next((mark for mark in info.metadata if isinstance(mark, HashedAs)), None),
        )
        for name, info in kind.model_fields.items()
    ]


def _heed_field(model: BaseModel, field: _Field, content: dict[str, Any]) -> None:
    value = getattr(model, field.name)
    if _left_out(field, value):
        del content[field.name]
    elif field.other:
        content[field.name] = field.other.form(model)
    else:
        _heed(value, content[field.name])


def _left_out(field: _Field, value: Any) -> bool:
    if field.mark is LATER:
        return bool(value == field.info.get_default(call_default_factory=True))
    return field.mark is NEVER
