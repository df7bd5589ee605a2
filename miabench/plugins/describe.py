"""What a plugin says of itself, as JSON: its text, version and parameters."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from miabench.plugins.base import Plugin
from miabench.plugins.dataset import Dataset
from miabench.plugins.defense import Defense

BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}


def describe_class(cls: type[Plugin]) -> dict[str, Any]:
    """Version, text and parameters of a plugin, those that must be given first; of a dataset its schedule too."""
    parameters = [_parameter(cls, name) for name in cls.model_fields]
    common = cls.__mro__[1].model_fields  # type: ignore[attr-defined]  # what every plugin of the kind has comes last
    about: dict[str, Any] = {
        "version": cls.version,
        "about": inspect.cleandoc(sys.modules[cls.__module__].__doc__ or cls.__doc__ or ""),
        "config": {name: value for name, value in cls.model_config.items() if name not in ("frozen", "extra")},
        "parameters": sorted(parameters, key=lambda one: (not one["required"], one["name"] in common)),
    }
    if issubclass(cls, Dataset):
        about["schedule"] = cls.schedule.model_dump(mode="json")
    return about


def limits(field: FieldInfo) -> Iterator[tuple[str, float]]:
    """The bounds of a field, as keywords of pydantic's `Field`."""
    for item in field.metadata:
        for name in BOUNDS:
            if hasattr(item, name):
                yield name, getattr(item, name)


def _parameter(cls: type[Plugin], name: str) -> dict[str, Any]:
    field = cls.model_fields[name]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json")
    return {
        "name": name,
        "type": inspect.formatannotation(field.annotation),
        "default": default,
        "required": field.is_required(),
        "bounds": ", ".join(f"{BOUNDS[limit]} {value}" for limit, value in limits(field)),
        "limits": dict(limits(field)),
        "validated": any(name in one.info.fields for one in cls.__pydantic_decorators__.field_validators.values()),
        "tuned": _tuned(cls, name),
        "meaning": field.description or "",
    }


def _tuned(cls: type[Plugin], name: str) -> str:
    """What `miabench tune` tries for a defense's hyper-parameter; empty where it leaves it alone."""
    tried = cls.tune.get(name) if issubclass(cls, Defense) else None
    if tried is None:
        return ""
    high = "the schedule's epochs" if tried.high == "epochs" else f"{tried.high:g}"
    return f"tuned from {tried.low:g} to {high}{', log' if tried.log else ''}"
