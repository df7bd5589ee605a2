"""Finding plugins: built-in folders, installed packages' entry points, and single files.

There is no registry to write to: `discover(files)` looks, and its answer is a value. A plugin is called after its
file (`label_smoothing.py` is `label-smoothing`), an installed one `<distribution>/<entry point>`.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, cast, overload

from pydantic import BaseModel, ValidationError

from miabench.errors import UserError, expected, nearest
from miabench.files.paths import expanded
from miabench.plugins.attack import Attack, Probe
from miabench.plugins.base import Kind, Plugin
from miabench.plugins.dataset import Dataset
from miabench.plugins.defense import Defense
from miabench.plugins.model import Model
from miabench.plugins.plugin_files import describe, file_hash, import_file, module_name
from miabench.plugins.suites import suite_name

P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class PluginFile:
    """A plugin file as it was when it was first read, so that a worker can tell that it has changed."""

    path: str
    sha256: str


@dataclass(frozen=True)
class PluginInfo(Generic[P]):
    """A plugin that was found; `load` imports it.

    Attributes:
        source: `built-in`, `<distribution> <version>`, or the file's path.
        identity: what stands for the code in result keys beside the class's own `version`: empty for built-ins,
            the distribution's version, or the file's hash.
    """

    kind: Kind
    name: str
    source: str
    identity: str
    load: Callable[[], type[P]]

    def build(self, params: Mapping[str, Any]) -> P:
        """An instance with some hyper-parameters set.

        Raises:
            UserError: unknown names, wrong types, values out of bounds: all at once.
        """
        cls = self.load()
        try:
            return cls(**deepcopy(dict(params)))  # what is in them may be changed by the plugin
        except ValidationError as error:
            raise UserError(*(self.problem(cls, item) for item in error.errors())) from None

    def problem(self, cls: type[BaseModel], item: Any) -> str:
        """One of pydantic's findings about the parameters in words."""
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            return f"{self.kind} {self.name} has no parameter {field!r}{nearest(field, cls.model_fields)}"
        if item["type"] == "missing":
            return f"{self.kind} {self.name} needs {field}: {cls.model_fields[field].description or 'no description'}"
        given = f"{field} = {item['input']!r}: " if field else ""  # no field: what is wrong is how several go together
        return f"{self.kind} {self.name}: {given}{expected(item)}"


class PluginIndex:
    """Everything that was found, by kind and name; both spellings of a name (`-`, `_`) are accepted."""

    def __init__(self, found: Iterable[PluginInfo[Any]], files: tuple[PluginFile, ...] = ()) -> None:
        self.files = files
        self._found: dict[tuple[Kind, str], PluginInfo[Any]] = {}
        for item in found:
            other = self._found.setdefault((item.kind, item.name), item)
            if other is not item:
                raise UserError(
                    f"two {item.kind}s are named {item.name!r}: {other.source} and {item.source}. "
                    "Rename your file: a plugin is called after its file"
                )

    def all(self, kind: Kind) -> list[PluginInfo[Any]]:
        """All plugins of a kind, built-ins first, by name."""
        found = [item for (k, _), item in self._found.items() if k == kind]
        return sorted(found, key=lambda item: (item.source != "built-in", item.name))

    @overload
    def get(self, kind: Literal["defense"], name: str) -> PluginInfo[Defense]: ...
    @overload
    def get(self, kind: Literal["attack"], name: str) -> PluginInfo[Attack]: ...
    @overload
    def get(self, kind: Literal["dataset"], name: str) -> PluginInfo[Dataset]: ...
    @overload
    def get(self, kind: Literal["model"], name: str) -> PluginInfo[Model]: ...
    @overload
    def get(self, kind: Kind, name: str) -> PluginInfo[Any]: ...
    def get(self, kind: Kind, name: str) -> PluginInfo[Any]:
        """One plugin.

        Raises:
            UserError: no such plugin, with the nearest name.
        """
        found = self._found.get((kind, name.replace("_", "-")))
        if found is None:
            raise UserError(f"there is no {kind} {name!r}{nearest(name, (item.name for item in self.all(kind)))}")
        return found

    def baseline(self) -> PluginInfo[Defense]:
        """The one defense that says that it is none."""
        (found,) = (item for item in self.all("defense") if item.source == "built-in" and item.load().is_baseline())
        return found

    def files_of(self, *parts: object) -> tuple[PluginFile, ...]:
        """The plugin files that hold the classes of some plugins, each once, in the plugins' order."""
        by_module = {module_name(Path(file.path), file.sha256): file for file in self.files}
        found = [by_module.get(type(part).__module__) for part in parts]
        return tuple(dict.fromkeys(file for file in found if file))


def discover(files: Iterable[str | Path | PluginFile] = ()) -> PluginIndex:
    """Built-in and installed plugins and those in the given files.

    Raises:
        UserError: a name clash, with a suite's name too; a file that is missing, fails to import, or does not hold
            exactly one plugin; a `PluginFile` that has changed since it was described.
    """
    loaded = [_from_file(file) for file in files]
    for found, file in loaded:
        if found.kind == "attack" and suite_name(found.name):
            raise UserError(f"{file.path}: {found.name} is the name of a suite of attacks; rename the file")
    return PluginIndex(
        [*_built_in(), *_installed(), *(found for found, _ in loaded)], tuple(file for _, file in loaded)
    )


@cache
def _built_in() -> tuple[PluginInfo[Any], ...]:
    return tuple(
        PluginInfo(
            kind,
            info.name.replace("_", "-"),
            "built-in",
            "",
            _lazily(f"{package.__name__}.{info.name}", kind),
        )
        for kind in KINDS
        for package in [import_module(f"miabench.{kind}s")]
        for info in pkgutil.iter_modules(package.__path__)
        if not info.name.startswith("_")
    )


def probe_class(module: str, qualname: str) -> type[Probe]:
    """A probe's class by its place in keys; a file plugin's module is there since the file was discovered."""
    built_in = _built_in_probes().get((module, qualname))
    if built_in is not None:
        return built_in
    found: Any = import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return cast(type[Probe], found)


@cache
def _built_in_probes() -> Mapping[tuple[str, str], type[Probe]]:
    import_module("miabench.plugins.probes")
    for found in _built_in():
        if found.kind == "attack":
            found.load()
    return {cls.place(): cls for cls in _below(Probe) if cls.__module__.startswith("miabench.")}


def _below(cls: type[Probe]) -> Iterator[type[Probe]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _below(subclass)


def _lazily(module: str, kind: Kind) -> Callable[[], type[Plugin]]:
    return lambda: _only_plugin(import_module(module), module, (kind,))[1]


def _installed() -> Iterator[PluginInfo[Any]]:
    for kind in KINDS:
        found: dict[tuple[str, str, str], list[metadata.EntryPoint]] = {}
        for entry in metadata.entry_points(group=f"miabench.{kind}s"):
            if entry.dist is not None:
                found.setdefault((entry.dist.name, entry.dist.version, entry.name.replace("_", "-")), []).append(entry)
        for (package, version, name), entries in found.items():
            name = f"{package.replace('_', '-')}/{name}"
            yield PluginInfo(
                kind, name, f"{package} {version}", version, partial(_load_entry, entries, kind, f"{kind} {name}")
            )


def _load_entry(entries: Sequence[metadata.EntryPoint], kind: Kind, where: str) -> type[Plugin]:
    """The class of an entry point; what is wrong with a package is said to those alone who ask for its plugin."""
    texts = [f"'{entry.name} = {entry.value}'" for entry in entries]
    if len(entries) > 1:
        raise UserError(f"{where} stands for {len(entries)} entry points of its package: {', '.join(texts)}")
    broken = f"{where} cannot be loaded from the entry point {texts[0]}"
    if not entries[0].pattern.match(entries[0].value):
        raise UserError(f"{broken}: write NAME = MODULE:CLASS")
    try:
        cls = entries[0].load()
    except (Exception, SystemExit) as error:
        raise UserError(f"{broken}: {describe(error)}") from error
    if not (inspect.isclass(cls) and issubclass(cls, KINDS[kind])):
        raise UserError(f"{broken}: it is no {KINDS[kind].__name__}")
    _check_baseline(cls, where)
    return cls


def _check_baseline(cls: type[Plugin], where: str) -> None:
    """Every defense is compared with one baseline, so no plugin of a user may be another."""
    if issubclass(cls, Defense) and cls.is_baseline():
        raise UserError(f"{where}: {cls.__name__} says baseline = True; the built-in baseline is the only one")


def _from_file(file: str | Path | PluginFile) -> tuple[PluginInfo[Any], PluginFile]:
    path = expanded(file.path if isinstance(file, PluginFile) else file).resolve()
    sha256 = file_hash(path)
    if isinstance(file, PluginFile) and file.sha256 != sha256:
        raise UserError(f"{path} changed since this experiment started ({file.sha256[:8]} -> {sha256[:8]}): run again")
    kind, cls = _only_plugin(import_file(path, sha256), str(path), tuple(KINDS))
    name = path.stem.replace("_", "-")
    _check_baseline(cls, f"plugin file {path}")
    return PluginInfo(kind, name, str(path), sha256, lambda: cls), PluginFile(str(path), sha256)


def _only_plugin(module: ModuleType, where: str, kinds: tuple[Kind, ...]) -> tuple[Kind, type[Plugin]]:
    classes = [
        (kind, cls)
        for name, cls in inspect.getmembers(module, inspect.isclass)
        for kind in kinds
        if issubclass(cls, KINDS[kind]) and cls.__module__ == module.__name__
        if not name.startswith("_") and not inspect.isabstract(cls)
    ]
    if len(classes) != 1:
        names = ", ".join(cls.__name__ for _, cls in classes) or "none"
        wanted = " or ".join(KINDS[kind].__name__ for kind in kinds)
        raise UserError(f"{where} must hold exactly one public subclass of {wanted}; it holds {names}")
    return classes[0]


KINDS: Mapping[Kind, type[Plugin]] = {
    "defense": Defense,
    "attack": Attack,
    "dataset": Dataset,
    "model": Model,
}
