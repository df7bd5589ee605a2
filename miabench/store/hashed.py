"""What of a model's fields stands in hashes, so that a field more or a machine's detail orphans no stored result.

A field says it in its annotation: `steps: Annotated[int, LATER] = 1`. What says nothing stands in hashes as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

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
        case BaseModel(), dict():
            for name in content.keys() & type(value).model_fields.keys():
                _heed_field(value, name, content)
        case Mapping(), dict():
            for inner, json in zip(value.values(), content.values(), strict=True):
                _heed(inner, json)
        case ((list() | tuple()), list()):
            for inner, json in zip(value, content, strict=True):
                _heed(inner, json)


def _heed_field(model: BaseModel, name: str, content: dict[str, Any]) -> None:
    field, value = type(model).model_fields[name], getattr(model, name)
    other = next((mark.form for mark in field.metadata if isinstance(mark, HashedAs)), None)
    if _left_out(field, value):
        del content[name]
    elif other:
        content[name] = other(model)
    else:
        _heed(value, content[name])


def _left_out(field: FieldInfo, value: Any) -> bool:
    unchanged = LATER in field.metadata and value == field.get_default(call_default_factory=True)
    return NEVER in field.metadata or unchanged
