"""Grids: a list where one value is expected stands for one cell each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError


def expand(model: type[BaseModel], params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The grid of a plugin's (or a schedule's) parameters: a list where one value is expected is one cell each."""
    fields = model.model_fields
    axes = []
    for name, value in params.items():
        grid = isinstance(value, list) and name in fields and not _accepts(fields[name].annotation, value)
        axes.append([(name, item) for item in (value if grid else [value])])
    for point in itertools.product(*axes):
        yield dict(point)


def _accepts(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True
