"""Command-line options as changes of an experiment's keys."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import (
    BaseModel,
)

from miabench.errors import UserError, nearest
from miabench.experiment.model import PLUGINS, Experiment

Overrides: TypeAlias = Mapping[str, Any]


def override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Replace one top-level key; plugins named again keep the parameters that the experiment gives them."""
    if key in PLUGINS:
        value = [given for name in value for given in _given(raw.get(key, []), name)]
    if key == "epochs":
        raw["schedule"] = {**raw.get("schedule", {}), "epochs": value}
    elif key == "plugins":
        raw["plugins"] = [*raw.get("plugins", []), *value]
    else:
        raw[key] = value


def _given(entries: Any, name: str) -> list[Any]:
    """What an experiment says of a plugin (several entries where it gives several), or just the name."""
    entries = entries if isinstance(entries, list) else [entries]
    return [entry for entry in entries if _name(entry) == name.replace("_", "-")] or [name]


def _name(entry: Any) -> str:
    name = entry.get("name", "") if isinstance(entry, dict) else entry
    return str(name).replace("_", "-")


def _assign(raw: dict[str, Any], assignment: str) -> str:
    """Apply `KEY=VALUE`: KEY is dotted, and begins with a key of the experiment or the name of a plugin in it.

    Returns:
        The key.
    """
    key, equals, text = assignment.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise UserError(f"--set {assignment!r}: write KEY=VALUE, for example crl.alpha_rce=0.5 or schedule.epochs=10")
    value = _value(text.strip())
    if path[0] in Experiment.model_fields and (len(path) == 1 or path[0] not in PLUGINS):
        raw.update(_assigned(raw, path, value, assignment))
    elif len(path) > 1:
        _assign_to_plugin(raw, path, value, assignment)
    else:
        raise UserError(f"--set {assignment!r}: {path[0]!r} is no key of an experiment{nearest(path[0], _keys(raw))}")
    return ".".join(path)


def _assign_to_plugin(raw: dict[str, Any], path: Sequence[str], value: Any, assignment: str) -> None:
    name, hit = path[0].replace("_", "-"), False
    for kind in PLUGINS:
        entries = raw.get(kind, [])
        entries = list(entries) if isinstance(entries, list) else [entries]
        for i, entry in enumerate(entries):
            if name in (_name(entry), kind):
                entries[i] = _assigned(
                    entry if isinstance(entry, dict) else {"name": entry}, path[1:], value, assignment
                )
                hit = True
        raw[kind] = entries
    if not hit:
        key = ".".join([name, *path[1:]])
        raise UserError(f"--set {key}: the experiment has no plugin {name!r}{nearest(name, _keys(raw))}")


def _assigned(table: Any, path: Sequence[str], value: Any, assignment: str) -> dict[str, Any]:
    """The table with a value at a path of keys; tables on the way are made."""
    key, *rest = path
    table = dict(table)
    inner = table.get(key, {})
    if rest and not isinstance(inner, (Mapping, BaseModel)):
        raise UserError(f"--set {assignment!r}: {key!r} is one value and has no parts")
    return {**table, key: _assigned(inner, rest, value, assignment) if rest else value}


def _keys(raw: Mapping[str, Any]) -> Iterable[str]:
    entries: Sequence[Any] = [
        entry
        for kind in PLUGINS
        for entry in (raw.get(kind) if isinstance(raw.get(kind), list) else [raw.get(kind, "")])  # type: ignore[union-attr]
    ]
    return sorted({*Experiment.model_fields, *(_name(entry) for entry in entries)} - {""})


def _value(text: str) -> Any:
    """A TOML value, or the text itself: `0.5`, `[1, 2]`, `true`, `some/path`."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
