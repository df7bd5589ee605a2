"""What built-in plugins say of themselves, without importing them: most of them import torch.

The file `catalogue.json` is made from the classes by `python -m miabench.plugins.make_catalogue`.
"""

from __future__ import annotations

import json
import pathlib
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, create_model

from miabench.training import schedule

FILE = Path(__file__).parent / "catalogue.json"
# What the names in written types stand for.
NAMES = {"typing": typing, "Literal": typing.Literal, "pathlib": pathlib, "Gt": annotated_types.Gt}


@cache
def catalogue() -> Mapping[str, Mapping[str, dict[str, Any]]]:
    """By kind and name, what `miabench.plugins.describe.describe_class` says of each class."""
    content: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


@cache
def form_of(kind: str, name: str) -> type[BaseModel]:
    """A class with the parameters of a built-in plugin, their types, bounds and defaults, but not its validators."""
    about = catalogue()[kind][name]
    fields: dict[str, Any] = {one["name"]: _field(one) for one in about["parameters"]}
    config = cast(ConfigDict, {"frozen": True, "extra": "forbid", **about["config"]})
    return create_model(name, __config__=config, **fields)


def _field(parameter: Mapping[str, Any]) -> tuple[Any, Any]:
    default = ... if parameter["required"] else parameter["default"]
    if parameter["validated"]:  # by the class alone
        return Any, Field(default, description=parameter["meaning"])
    written = parameter["type"].replace(f"{schedule.__name__}.", "")
    typed = eval(written, {**NAMES, "Schedule": schedule.Schedule})  # our own file
    return typed, Field(default, description=parameter["meaning"], **parameter["limits"])
