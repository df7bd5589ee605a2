"""Reading an experiment: a TOML file, a preset, a dict, with command-line options applied."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ValidationError,
)

from miabench.errors import UserError, expected, nearest
from miabench.experiment.model import Attacker, Experiment, Tuned
from miabench.experiment.overrides import Overrides, apply, replaced_keys
from miabench.experiment.own_schedule import on_own_schedules
from miabench.files.opened import opened
from miabench.files.paths import expanded
from miabench.training.schedule import Schedule

PRESETS = Path(__file__).parent / "presets"
LARGEST = 2**24  # bytes of a file
DIGITS = 18  # of whole numbers
DEEPEST = 20  # tables and lists within one another
OF_PAIRS = ("models", "population")  # keys of protocol pool alone
DEFAULT = "bits"  # the preset that runs when no experiment is named


def load_experiment(
    source: str | Path | Mapping[str, Any] | Experiment | None, overrides: Overrides | None = None
) -> Experiment:
    """Read an experiment and apply overrides.

    Where the source writes no schedule, and in the default preset once another dataset is chosen, networks are trained
    on the dataset's own; overrides replace keys of whichever it is.

    Args:
        source: a TOML file, a preset's name, a dict like the TOML, an `Experiment`, or None for the default preset.
        overrides: top-level keys to replace, as the command line's options do (see `override`), and under `"set"`
            a list of `KEY=VALUE`, or values by key.

    Raises:
        UserError: a file that is missing or no TOML; unknown or ill-typed keys, all at once.
    """
    raw, where = _read(source)
    replaced = replaced_keys(overrides or {})
    if source is None and "dataset" in replaced:
        raw.pop("schedule")
    own = "schedule" not in raw
    apply(raw, overrides or {})
    if source is None and "runs" in replaced and "protocol" not in replaced:
        raw["protocol"] = "disjoint"  # whose word it is; the default preset's own protocol knows no runs
        for key in set(OF_PAIRS) - replaced:
            raw.pop(key, None)
    paired = raw.get("protocol") in ("pool", "tune")
    if "protocol" in replaced:
        for key in {"runs", "shadows"} - replaced if paired else set(OF_PAIRS) - replaced:
            raw.pop(key, None)  # the source's are another protocol's
    if raw.get("protocol") == "tune" and not isinstance(source, Experiment):
        raise UserError(f"{where}: protocol = 'tune' is that of miabench tune's trials; choose pool or disjoint")
    if not paired and not isinstance(source, Experiment):
        _refuse_pairs_keys(where, raw, replaced)
    if paired and "runs" in raw and not isinstance(source, Experiment):
        raise UserError(
            f"{where}: runs = {raw['runs']!r}: under protocol {raw['protocol']} every model is a target: set models, "
            "or protocol = disjoint, which repeats every training"
        )
    _refuse_odd_values(where, raw)
    try:
        experiment = Experiment.model_validate(raw)
    except ValidationError as error:
        raise UserError(*(_problem(where, replaced, item) for item in error.errors())) from None
    return on_own_schedules(experiment, raw.get("schedule", {})) if own else experiment


def _refuse_pairs_keys(where: str, raw: Mapping[str, Any], replaced: set[str]) -> None:
    """Refuse what protocol disjoint would ignore; a file may write out the defaults."""
    for key in OF_PAIRS:
        if key in raw and (key in replaced or raw[key] != Experiment.model_fields[key].default):
            raise UserError(
                f"{where}: {key} = {raw[key]!r}: protocol disjoint has no pairs of models: set runs and shadows, or "
                "protocol = pool"
            )


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
    path = PRESETS / f"{name}.toml" if preset else expanded(name)
    try:
        path.stat()
        raw = tomllib.loads(_text(path))
    except OSError as error:
        known = "" if path.suffix == ".toml" else nearest(name, presets()).replace("Known", "Presets")
        raise UserError(f"cannot read experiment {name!r}: {error.strerror or error}{known}") from None
    except (ValueError, RecursionError) as error:  # tomllib has more errors than its own
        hint = "; text stands in quotes" if str(error).startswith("Invalid value") else ""
        raise UserError(f"{path} is not valid TOML: {error}{hint}") from None
    if preset and "same_as" in raw:
        return _read(raw["same_as"])
    return ({"name": name, **raw}, f"preset {name}") if preset else ({"name": path.stem, **raw}, str(path))


def _text(path: Path) -> str:
    with opened(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(f"{path} has more than {LARGEST / 2**20:.0f} MiB: it is no experiment")
    return content.decode()


def _refuse_odd_values(where: str, table: Mapping[Any, Any]) -> None:
    """Refuse what no parameter can be, and no JSON can hold: numbers that are not finite, tables without end."""

    def look(value: Any, keys: tuple[str, ...]) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}: {'.'.join(keys)} = {value}: give a finite number")
        if isinstance(value, int) and abs(value) >= 10**DIGITS:  # as a float it could be infinite
            raise UserError(f"{where}: {'.'.join(keys)}: give a number of at most {DIGITS} digits")
        if len(keys) > DEEPEST:
            raise UserError(f"{where}: {'.'.join(keys[:3])}... is nested too deeply")
        if isinstance(value, Mapping):
            for key, inner in value.items():
                look(inner, (*keys, str(key)))
        elif isinstance(value, list | tuple):
            for i, inner in enumerate(value):  # of plugins: by name, as their parameters are called elsewhere
                named = inner.get("name", i) if isinstance(inner, Mapping) else i
                look(inner, (*keys, str(named)))

    look(table, ())


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
    if not path:  # about several keys at once: the message names them
        return f"{where}: {item['msg'].removeprefix('Value error, ')}"
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}{nearest(path[-1], fields if len(path) == 1 else _fields_of(path[0]))}"
    if item["type"] == "missing" and key in fields:
        return f"{where}: {key} is missing: {fields[key].description}"
    pattern = item["type"] == "string_pattern_mismatch"  # a regular expression says little to most
    return f"{where}: {key} = {item['input']!r}: {f'expected {fields[key].description}' if pattern else expected(item)}"


def _fields_of(table: str) -> Iterable[str]:
    tables: dict[str, type[BaseModel]] = {"schedule": Schedule, "attacker": Attacker, "tuned": Tuned}
    return tables[table].model_fields
