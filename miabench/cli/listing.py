"""`miabench list`: what plugins and presets there are, and everything about one of them."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from miabench.api.options import Files
from miabench.errors import UserError, nearest
from miabench.experiment.load import PRESETS, load_experiment, presets
from miabench.plugins.base import Kind
from miabench.plugins.check import describe
from miabench.plugins.discover import PluginInfo, discover
from miabench.plugins.suites import SUITES, suite_name

ListedKind: TypeAlias = Literal["defenses", "attacks", "datasets", "models", "suites", "presets"]

JUDGED = ("limits", "validated")  # what the catalogue has to judge values by, and `bounds` says in words


def list_plugins(kind: ListedKind, plugin: Files = ()) -> list[dict[str, Any]]:
    """All plugins of a kind, all suites of attacks, or all presets.

    Args:
        kind: `defenses`, `attacks`, `datasets`, `models`, `suites` (of attacks) or `presets`.
        plugin: files that hold more plugins.

    Returns:
        Of each plugin name, kind, source, version, text and parameters; of one that cannot be imported the reason in
        place of the last three (`broken`). Of each suite name and attacks; of each preset name and TOML text.
        Built-in plugins come first.

    Raises:
        UserError: a file that holds no plugin, or one whose name is taken; no such kind.
    """
    if kind not in get_args(ListedKind):
        raise UserError(f"there is nothing of the kind {kind!r}{nearest(kind, get_args(ListedKind))}")
    if kind == "presets":
        texts = {name: (PRESETS / f"{name}.toml").read_text(encoding="utf-8") for name in presets()}
        return [{"name": name, "toml": text} for name, text in texts.items()]
    if kind == "suites":
        return [{"name": name, "attacks": list(attacks)} for name, attacks in SUITES.items()]
    files = [plugin] if isinstance(plugin, (str, Path)) else plugin
    return [_describe(found) for found in discover(files).all(cast(Kind, kind.removesuffix("s")))]


def listing(kind: ListedKind, name: str | None, files: Sequence[str], as_json: bool) -> str:
    """The text of `miabench list KIND [NAME]`.

    Args:
        kind: defenses, attacks, datasets, models, suites or presets.
        name: one of them, or None for all.
        files: plugin files.
        as_json: JSON instead of text.

    Raises:
        UserError: no such name.
    """
    if kind == "presets":
        return _presets(name, as_json)
    if kind == "suites":
        return _suites(name, as_json)
    if name is None:
        about = list_plugins(kind, files)
        return json.dumps(about, indent=1) if as_json else "\n".join(_line(item) for item in about)
    one = _describe(discover(files).get(cast(Kind, kind.removesuffix("s")), name))
    return json.dumps(one, indent=1) if as_json else _page(one)


def _presets(name: str | None, as_json: bool) -> str:
    if name is None:
        return json.dumps(presets()) if as_json else "\n".join(map(_preset, presets()))
    if name not in presets():
        raise UserError(f"there is no preset {name!r}{nearest(name, presets())}")
    text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
    return json.dumps({"name": name, "toml": text}) if as_json else text.rstrip()


def _suites(name: str | None, as_json: bool) -> str:
    named = SUITES if name is None else {suite: SUITES[suite] for suite in [suite_name(name)] if suite}
    if not named:
        raise UserError(f"there is no suite {name!r}{nearest(name or '', SUITES)}")
    if as_json:
        about = [{"name": suite, "attacks": attacks} for suite, attacks in named.items()]
        return json.dumps(about if name is None else about[0])
    return "\n".join(f"{suite:<14} {', '.join(attacks)}" for suite, attacks in named.items())


def _preset(name: str) -> str:
    experiment = load_experiment(name)
    choices = (experiment.dataset, experiment.model, experiment.defense)
    dataset, model, defense = (", ".join(dict.fromkeys(choice.name for choice in kind)) for kind in choices)
    size = f"{experiment.schedule.epochs} epochs, {experiment.runs} run{'s' * (experiment.runs > 1)}"
    return f"{name:<26} {model} on {dataset}, {size}: {defense}"


def _describe(found: PluginInfo[Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"name": found.name, "kind": found.kind, "source": found.source}
    try:
        described = describe(found)
    except UserError as error:  # an installed plugin that is broken must not hide the others
        return about | {"broken": str(error)}
    shown = [{name: value for name, value in one.items() if name not in JUDGED} for one in described["parameters"]]
    return about | {"version": described["version"], "about": described["about"], "parameters": shown}


def _line(about: dict[str, Any]) -> str:
    if "broken" in about:
        return f"{about['name']:<20} {about['source']:<12} {about['broken']}"
    first = about["about"].partition("\n")[0]
    return f"{about['name']:<20} {about['source']:<12} {first}"


def _page(about: dict[str, Any]) -> str:
    if "broken" in about:
        return _line(about)
    lines = [
        f"{about['name']} ({about['kind']}, {about['source']}, version {about['version']})",
        "",
        about["about"],
        "",
    ]
    for item in about["parameters"]:
        unset = "default None" if item["default"] is None else f"default {json.dumps(item['default'], default=str)}"
        default = "required" if item["required"] else unset
        facts = ", ".join(filter(None, [_type(item["type"]), default, item["bounds"], item["tuned"]]))
        lines.append(f"  {item['name']} ({facts})")
        lines += textwrap.wrap(item["meaning"], 100, initial_indent="      ", subsequent_indent="      ")
    if about["parameters"]:
        key = f"{about['name']}.{about['parameters'][0]['name']}"
        lines += ["", f"set one with --set {key}=VALUE, or beside the name in an experiment file"]
    return "\n".join(lines).rstrip()


def _type(annotation: str) -> str:
    """`Literal['a', 'b'] | pathlib.Path` in words: `'a' | 'b' | path`."""
    annotation = re.sub(r"Annotated\[(\w+), .*?\]", r"\1", annotation)
    choices = re.sub(r"Literal\[(.*?)\]", lambda found: found[1].replace(", ", " | "), annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", choices).replace("Path", "path")
