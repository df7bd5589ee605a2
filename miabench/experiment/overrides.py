"""Command-line options as changes of an experiment's keys."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from miabench.errors import UserError, nearest
from miabench.experiment.model import PLUGINS, Experiment

Overrides: TypeAlias = Mapping[str, Any]


def replaced_keys(overrides: Overrides) -> set[str]:
    """The dotted keys of an experiment that overrides replace."""
    keys = {key for key, _, _ in _assignments(overrides)}
    return keys | {"schedule.epochs" if key == "epochs" else key for key in overrides if key != "set"}


def apply(raw: dict[str, Any], overrides: Overrides) -> None:
    """Replace keys of an experiment, as in TOML, in place; what `set` says comes last.

    Raises:
        UserError: an assignment that cannot be read, or to something that is not there.
    """
    for key, value in overrides.items():
        if key != "set":
            _override(raw, key, value)
    for key, value, said in _assignments(overrides):
        _assign(raw, key.split("."), value, said)


def _override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Replace one top-level key; plugins named again keep the parameters that the experiment gives them."""
    if key in PLUGINS:
        raw[key] = [given for entry in _several(value) for given in _given(raw.get(key, []), entry)]
    elif key == "epochs":
        raw["schedule"] = {**raw.get("schedule", {}), "epochs": value}
    elif key == "plugins":
        raw["plugins"] = [*raw.get("plugins", []), *map(str, _several(value))]
    else:
        raw[key] = value


def _several(value: Any) -> list[Any]:
    """A list of one or more."""
    return [value] if isinstance(value, (str, Path, Mapping)) else list(value)


def _given(entries: Any, entry: Any) -> list[Any]:
    """What an experiment says of a plugin that is named (several entries where it gives several), or just the name."""
    if not isinstance(entry, str):
        return [entry]
    entries = entries if isinstance(entries, list) else [entries]
    return [said for said in entries if _name(said) == entry.replace("_", "-")] or [entry]


def _name(entry: Any) -> str:
    name = entry.get("name", "") if isinstance(entry, dict) else entry
    return str(name).replace("_", "-")


def _assignments(overrides: Overrides) -> Iterator[tuple[str, Any, str]]:
    """Key, value and spelling of what `set` assigns: `KEY=VALUE`, or values by key."""
    given = overrides.get("set", ())
    if isinstance(given, Mapping):
        yield from ((key, value, f"{key}={value}") for key, value in given.items())
        return
    for assignment in _several(given):
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise UserError(
                f"--set {assignment!r}: write KEY=VALUE, for example crl.alpha_rce=0.5 or schedule.epochs=10"
            )
        yield key.strip(), _value(text.strip()), assignment


def _assign(raw: dict[str, Any], path: Sequence[str], value: Any, assignment: str) -> None:
    """Assign to a path of keys that begins with a key of the experiment or the name of a plugin in it."""
    if path[0] in Experiment.model_fields and (len(path) == 1 or path[0] not in PLUGINS):
        raw.update(_assigned(raw, path, value, assignment))
    elif len(path) > 1:
        _assign_to_plugin(raw, path, value, assignment)
    else:
        raise UserError(f"--set {assignment!r}: {path[0]!r} is no key of an experiment{nearest(path[0], _keys(raw))}")


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
    except (ValueError, RecursionError):  # tomllib has more errors than its own
        return text
