"""Writing TOML: what the standard library only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(table: Mapping[str, Any]) -> str:
    """A table as TOML: values first, then `[tables]`, then `[[lists of tables]]`; None is left out."""
    values, tables, lists = [], [], []
    for key, value in table.items():
        if isinstance(value, Mapping):
            tables.append(f"[{_key(key)}]\n{_lines(value)}")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            lists += [f"[[{_key(key)}]]\n{_lines(item)}" for item in value]
        elif value is not None:
            values.append(f"{_key(key)} = {_value(value)}")
    return "\n\n".join(part.rstrip() for part in ["\n".join(values), *tables, *lists] if part) + "\n"


def _lines(table: Mapping[str, Any]) -> str:
    return "\n".join(f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None)


def _key(key: Any) -> str:
    return str(key) if BARE.fullmatch(str(key)) else _value(str(key))


def _value(value: Any) -> str:
    """A value on one line; tables in tables are written `{a = 1}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)  # which leaves some that turn text around or hide it
        return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
    return json.dumps(value) if isinstance(value, bool) else repr(value)
