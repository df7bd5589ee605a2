"""Judging the names and parameters of plugins before anything is imported, as far as the catalogue tells."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from miabench.errors import UserError
from miabench.plugins.catalogue import catalogue, form_of
from miabench.plugins.describe import describe_class
from miabench.plugins.discover import PluginInfo


def form(found: PluginInfo[Any]) -> type[BaseModel]:
    """The parameters of a plugin: a built-in one's from the catalogue, another one's class, which is imported."""
    return form_of(found.kind, found.name) if found.source == "built-in" else found.load()


def describe(found: PluginInfo[Any]) -> dict[str, Any]:
    """What a plugin says of itself: a built-in one from the catalogue, another one is imported.

    Raises:
        UserError: it cannot be imported.
    """
    if found.source == "built-in":
        return dict(catalogue()[found.kind][found.name])
    return describe_class(found.load())


def check(found: PluginInfo[Any], params: Mapping[str, Any]) -> None:
    """Refuse parameters that a plugin does not have, or values out of bounds; what a validator judges is not seen.

    Raises:
        UserError: all that is wrong.
    """
    cls = form(found)
    try:
        cls(**deepcopy(dict(params)))
    except ValidationError as error:
        raise UserError(*(found.problem(cls, item) for item in error.errors())) from None
