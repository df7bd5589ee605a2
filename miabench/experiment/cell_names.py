"""What a plugin is called in tables: its name and whatever differs from its defaults."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from miabench.errors import harmless
from miabench.plugins.base import Plugin
from miabench.training.schedule import Schedule


def cell_label(name: str, params: Mapping[str, Any]) -> str:
    """`crl alpha_rce=0.5`."""
    return harmless(" ".join([name, *(f"{key}={value}" for key, value in params.items())]))


def non_default(plugin: Plugin, also: Collection[str] = ()) -> dict[str, Any]:
    """The parameters that differ from the plugin's defaults, as JSON; of a file its name, not where it lies.

    Args:
        plugin: whose parameters they are.
        also: parameters to name though they have their defaults: those that tell settings of one plugin apart. One
            whose default is none, for the data decide it, is told by having no name.
    """
    found: dict[str, Any] = {}
    for name, value in plugin:
        field = type(plugin).model_fields[name]
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        shown = value.name if isinstance(value, Path) else value
        if name in also and shown is not None:
            found[name] = to_jsonable_python(shown)
        else:
            found.update(_differences(name, to_jsonable_python(shown), to_jsonable_python(default)))
    return found


def by_default(plugin: Plugin, names: Iterable[str]) -> list[str]:
    """Of some names, those of parameters that have the plugin's defaults."""
    differ = {name.partition(".")[0] for name in non_default(plugin)}
    return [name for name in names if name in type(plugin).model_fields and name not in differ]


def non_default_schedule(schedule: Schedule, common: Schedule) -> dict[str, Any]:
    """The keys, as `schedule.lr`, by which a defense's own schedule differs from the experiment's, as JSON.

    Milestones that only follow the learning rate are no difference of their own.
    """
    expected = {**common.model_dump(), "milestones": common.replaced({"lr": schedule.lr}).milestones}
    found: dict[str, Any] = {}
    for name, value in schedule.model_dump().items():
        found.update(_differences(f"schedule.{name}", to_jsonable_python(value), to_jsonable_python(expected[name])))
    return found


def _differences(name: str, value: Any, default: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and isinstance(default, dict) and value.keys() == default.keys():
        for key in value:
            yield from _differences(f"{name}.{key}", value[key], default[key])
    elif value != default:
        yield name, value
