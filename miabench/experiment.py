"""An experiment: what to train, attack and report, as a TOML file, a dict, or command-line options."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from miabench.errors import UserError, expected, nearest
from miabench.hashed import LATER, HashedAs
from miabench.schedule import Schedule

PRESETS = Path(__file__).parent / "presets"
DEFAULT = "bits"  # the preset that runs when no experiment is named
PLUGINS = ("dataset", "model", "defense", "attacks")  # the keys that choose plugins

Overrides: TypeAlias = Mapping[str, Any]


class Choice(BaseModel, frozen=True):
    """A plugin by name, with the parameters to set: `"crl"` or `{name = "crl", alpha_rce = 0.5}`."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, value: Any) -> Any:
        return _named(value)

    @model_serializer
    def _to_toml(self) -> dict[str, Any]:
        return {"name": self.name, **self.params}


class DefenseChoice(Choice, frozen=True):
    """A defense with its hyper-parameters and, where it needs another one, a schedule of its own.

    `{name = "dp-sgd", schedule = {lr = 0.5}}` replaces keys of the experiment's schedule for this defense: its targets,
    its adaptive shadows and what they start from. A list where one value is expected stands for one cell each.
    """

    schedule: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, value: Any) -> Any:
        choice = _named(value)
        return {"schedule": choice["params"].pop("schedule", {}), **choice}

    @model_serializer
    def _to_toml(self) -> dict[str, Any]:
        return {"name": self.name, **self.params, **({"schedule": self.schedule} if self.schedule else {})}


def _named(value: Any) -> dict[str, Any]:
    """Name and parameters of a plugin, as TOML gives them."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        raise ValueError("should be a name, or a table with a name")
    if not isinstance(value.get("name"), str):
        raise ValueError("a table here needs a name")
    return {"name": value["name"].replace("_", "-"), "params": {k: v for k, v in value.items() if k != "name"}}


class Attacker(BaseModel, frozen=True, extra="forbid"):
    """What the attacker knows."""

    shadow_defense: Literal["same", "ce", "both"] = Field(
        "same",
        description="shadow models are trained under the same defense (adaptive), under ce, or one of each",
    )


class Tuned(BaseModel, frozen=True, extra="forbid"):
    """Which hyper-parameters of a defense were chosen on the shadow half."""

    study: str = Field(description="key of the search, in the store's folder `tuning`")
    parameters: list[str] = Field(description="what it chose")


class Experiment(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides the results, and where and how they are computed.

    The index of its results is filed under its hash. A key added to it is marked `LATER`; one that decides no result,
    `NEVER`.
    """

    name: str = Field(
        "experiment",
        pattern=r"^[\w.@ -]+(/[\w.@ -]+)*$",
        description="letters, digits, blanks and any of _ . @ - /; names the results in the store",
    )
    dataset: list[Choice] = Field(min_length=1, description="one or more datasets")
    model: list[Choice] = Field(min_length=1, description="one or more models")
    defense: list[DefenseChoice] = Field(min_length=1, description="defenses, each with its hyper-parameters")
    attacks: list[Choice] = Field(min_length=1, description="attacks, each with its parameters")
    runs: int = Field(5, ge=1, description="independent repetitions of every cell, on the same splits")
    shadows: int = Field(5, ge=1, description="shadow models for each target")
    seed: int = Field(0, ge=0, lt=2**32 - 2000, description="of splits and of every random stream")
    plugins: list[str] = Field(default_factory=list, description="plugin files")
    device: Annotated[str, HashedAs(lambda experiment: experiment.device.partition(":")[0])] = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:1, mps"
    )
    precision: Literal["float32", "tf32", "float64"] = Field("float32", description="of training and inference")
    threads: int = Field(1, ge=1, description="CPU threads of every job; results depend on it in the last bits")
    schedule: Schedule = Field(default_factory=Schedule)
    attacker: Attacker = Field(default_factory=Attacker)
    protocol: Literal["disjoint", "tune"] = Field(
        "disjoint", description="which records models get: the paper's halves, or a trial's part of the shadow half"
    )
    tuned: dict[str, Tuned] = Field(
        default_factory=dict, description="per defense, the search that chose its hyper-parameters: see miabench tune"
    )
    unpublished: Annotated[list[str], LATER] = Field(
        default_factory=list,
        description="what the reproduced paper does not give, as crl.alpha_rce: the values are ours",
    )
    scale: Annotated[float | None, LATER] = Field(
        None, gt=0, le=1, description="a mark of --scale: the share that it cut the pool to"
    )

    def chosen_otherwise(self, defense: str, params: Iterable[str]) -> list[str]:
        """Of the hyper-parameters set for a defense, those that tuning on the shadow half did not choose."""
        chosen = self.tuned[defense].parameters if defense in self.tuned else ()
        return [name for name in params if name not in chosen]

    def remarks(self) -> list[str]:
        """What must be said beside every result: that the experiment is a scaled one, which values are ours."""
        said = []
        if self.scale is not None:
            said.append(
                f"a scaled experiment (--scale {self.scale:g}): that share of the pool, {self.schedule.epochs} epochs, "
                f"runs: {self.runs}; its numbers are not those of the full experiment"
            )
        names = {choice.name for choice in self.defense}
        ours = [item for item in self.unpublished if "." not in item or item.partition(".")[0] in names]
        if ours:
            said.append(f"not published with the paper, so the values are ours: {', '.join(ours)}")
        return said

    @field_validator(*PLUGINS, mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return value if isinstance(value, list) else [value]

    @field_validator("scale")
    @classmethod
    def _only_a_mark(cls, value: float | None, info: ValidationInfo) -> float | None:
        whole = [choice.name for choice in info.data.get("dataset", ()) if "records" not in choice.params]
        if value is not None and whole:
            raise ValueError(f"it marks what --scale made smaller, but {whole[0]} is whole; use --scale instead")
        return value


def load_experiment(
    source: str | Path | Mapping[str, Any] | Experiment | None, overrides: Overrides | None = None
) -> Experiment:
    """Read an experiment and apply overrides.

    Args:
        source: a TOML file, a preset's name, a dict like the TOML, an `Experiment`, or None for the default preset.
        overrides: top-level keys to replace, as the command line's options do (see `override`), and under `"set"`
            a list of `KEY=VALUE`.

    Raises:
        UserError: a file that is missing or no TOML; unknown or ill-typed keys, all at once.
    """
    raw, where = _read(source)
    replaced = {"schedule.epochs" if key == "epochs" else key for key in overrides or {}}
    for key, value in (overrides or {}).items():
        if key != "set":
            override(raw, key, value)
    for assignment in (overrides or {}).get("set", ()):
        replaced.add(_assign(raw, assignment))
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise UserError(*(_problem(where, replaced, item) for item in error.errors())) from None


def presets() -> list[str]:
    """Names of the built-in experiments."""
    return sorted(path.relative_to(PRESETS).with_suffix("").as_posix() for path in PRESETS.rglob("*.toml"))


def _read(source: str | Path | Mapping[str, Any] | Experiment | None) -> tuple[dict[str, Any], str]:
    if isinstance(source, Experiment):
        return source.model_dump(mode="json"), "experiment"
    if isinstance(source, Mapping):
        return dict(source), "experiment"
    name = DEFAULT if source is None else str(source)
    preset = name in presets()
    path = PRESETS / f"{name}.toml" if preset else Path(name).expanduser()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = "" if path.suffix == ".toml" else nearest(name, presets()).replace("Known", "Presets")
        raise UserError(f"cannot read experiment {name!r}: {error.strerror or error}{known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = "; text stands in quotes" if str(error).startswith("Invalid value") else ""
        raise UserError(f"{path} is not valid TOML: {error}{hint}") from None
    if preset and "same_as" in raw:
        return _read(raw["same_as"])
    return ({"name": name, **raw}, f"preset {name}") if preset else ({"name": path.stem, **raw}, str(path))


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


def _problem(file: str, replaced: Iterable[str], item: Any) -> str:
    """One of pydantic's findings in words.

    Args:
        file: the experiment's, or what stands for one.
        replaced: keys that an option or `--set` gave: they do not stand in the file.
        item: the finding.
    """
    path = [str(part) for part in item["loc"]]
    key = ".".join(path)
    where = "the options" if any(f"{key}.".startswith(f"{given}.") for given in replaced) else file
    fields = Experiment.model_fields
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}{nearest(path[-1], fields if len(path) == 1 else _fields_of(path[0]))}"
    if item["type"] == "missing" and key in fields:
        return f"{where}: {key} is missing: {fields[key].description}"
    pattern = item["type"] == "string_pattern_mismatch"  # a regular expression says little to most
    return f"{where}: {key} = {item['input']!r}: {f'expected {fields[key].description}' if pattern else expected(item)}"


def _fields_of(table: str) -> Iterable[str]:
    tables: dict[str, type[BaseModel]] = {"schedule": Schedule, "attacker": Attacker, "tuned": Tuned}
    return tables[table].model_fields
