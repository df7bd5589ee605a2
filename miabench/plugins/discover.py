"""Finding plugins: built-in folders, installed packages' entry points, and single files.

There is no registry to write to: `discover(files)` looks, and its answer is a value. A plugin is called after its
file (`label_smoothing.py` is `label-smoothing`), an installed one `<distribution>/<entry point>`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from traceback import extract_tb, walk_tb
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, cast, overload

from pydantic import ValidationError

from miabench.errors import UserError, expected, nearest, text_of
from miabench.plugins.attack import Attack, Probe
from miabench.plugins.base import Kind, Plugin
from miabench.plugins.dataset import Dataset
from miabench.plugins.defense import Defense
from miabench.plugins.model import Model
from miabench.plugins.suites import suite_name

P = TypeVar("P", bound=Plugin)
MODULE_OF_FILE = "miabench_plugin_"  # how the names of modules made from plugin files begin


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
            raise UserError(*(self._problem(cls, item) for item in error.errors())) from None

    def _problem(self, cls: type[P], item: Any) -> str:
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
        by_module = {_module_name(Path(file.path), file.sha256): file for file in self.files}
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


def _installed() -> list[PluginInfo[Any]]:
    found = []
    for kind in KINDS:
        for entry in metadata.entry_points(group=f"miabench.{kind}s"):
            if entry.dist is not None:
                name = f"{entry.dist.name}/{entry.name}".replace("_", "-")
                version = entry.dist.version
                source = f"{entry.dist.name} {version}"
                found.append(PluginInfo(kind, name, source, version, partial(_load_entry, entry, kind, name)))
    return found


def _load_entry(entry: metadata.EntryPoint, kind: Kind, name: str) -> type[Plugin]:
    try:
        cls = entry.load()
        if not (inspect.isclass(cls) and issubclass(cls, KINDS[kind])):
            raise TypeError(f"it is no {KINDS[kind].__name__}")
    except (Exception, SystemExit) as error:
        raise UserError(f"{kind} {name} cannot be loaded: {describe(error)}") from error
    _check_baseline(cls, f"{kind} {name}")
    return cls


def _check_baseline(cls: type[Plugin], where: str) -> None:
    """Every defense is compared with one baseline, so no plugin of a user may be another."""
    if issubclass(cls, Defense) and cls.is_baseline():
        raise UserError(f"{where}: {cls.__name__} says baseline = True; the built-in baseline is the only one")


def _from_file(file: str | Path | PluginFile) -> tuple[PluginInfo[Any], PluginFile]:
    path = Path(file.path if isinstance(file, PluginFile) else file).expanduser().resolve()
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read plugin file {path}: {error.strerror}") from None
    if isinstance(file, PluginFile) and file.sha256 != sha256:
        raise UserError(f"{path} changed since this experiment started ({file.sha256[:8]} -> {sha256[:8]}): run again")
    kind, cls = _only_plugin(_import(path, sha256), str(path), tuple(KINDS))
    name = path.stem.replace("_", "-")
    _check_baseline(cls, f"plugin file {path}")
    return PluginInfo(kind, name, str(path), sha256, lambda: cls), PluginFile(str(path), sha256)


def _module_name(path: Path, sha256: str) -> str:
    """The same for a copy in another folder: it is the same code, and stands under this name in keys."""
    return f"{MODULE_OF_FILE}{path.stem}_{sha256[:12]}"


def _import(path: Path, sha256: str) -> ModuleType:
    """Import a file under a name that holds its hash: an edited file is another module."""
    name = _module_name(path, sha256)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file; a plugin file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before execution: dataclasses and pickle look their module up here
    from miabench.plugins.process_state import (  # imports torch, as nearly every plugin file does
        ProcessChangedError,
        isolated,
    )

    try:
        with isolated(f"importing {path}", seed=0):
            spec.loader.exec_module(module)
    except ProcessChangedError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        why = describe(error)
        del sys.modules[name]
        raise UserError(f"plugin file {path} cannot be imported: {why}") from error
    return module


def describe(error: BaseException) -> str:
    """An exception in one line, with the file and line that raised it: a plugin file's where one is on the way."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    frames = extract_tb(error.__traceback__)
    files = _plugin_files()
    inside = [frame for frame in frames if frame.filename in files] or frames
    place = f" ({inside[-1].filename}, line {inside[-1].lineno})" if inside else ""
    return f"{type(error).__name__}: {' '.join(text_of(error).split())}{place}"


@contextmanager
def plugin_files_blamed() -> Iterator[None]:
    """Makes an error for the user of what a plugin file raises in the block of `with`: the file is the user's own."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if not _plugin_files().intersection(frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)):
            raise
        raise UserError(describe(error)) from error


def _plugin_files() -> set[str]:
    """The plugin files that are loaded."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(MODULE_OF_FILE)]
    return {str(module.__file__) for module in modules}


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
