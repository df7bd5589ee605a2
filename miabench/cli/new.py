"""`miabench new KIND NAME`: a commented, working plugin file to start from."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from miabench.errors import UserError
from miabench.plugins.base import Kind
from miabench.plugins.discover import discover


def new(kind: Kind, name: str, folder: str | Path = ".") -> Path:
    """Write the file of a new plugin.

    Args:
        kind: defense, attack, dataset or model.
        name: of the plugin, words joined by `-` or `_`.
        folder: where the file goes; by default the current one.

    Returns:
        The file.

    Raises:
        UserError: a name that no Python file can have, or that is taken; a file that exists.
    """
    stem = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        raise UserError(f"{name!r} cannot be a plugin's name: use small letters, digits and -, beginning with a letter")
    if stem.replace("_", "-") in {found.name for found in discover().all(kind)}:
        raise UserError(f"there is a {kind} {name!r} already; choose another name")
    path = Path(folder) / f"{stem}.py"
    words = stem.split("_")
    text = Template(files("miabench.cli.templates").joinpath(f"{kind}.py.txt").read_text(encoding="utf-8")).substitute(
        title=" ".join(words).capitalize(),
        name=stem.replace("_", "-"),
        file=path.name,
        class_name="".join(word.capitalize() for word in words),
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} exists; choose another name or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path
