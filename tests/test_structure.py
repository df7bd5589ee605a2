"""The shape of the code: what may import what, and that every module imports."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import miabench

ROOT = Path(__file__).parents[1]
FOLDERS = (  # each imports only from those before it
    "errors", "seeds", "logprob", "_version", "files", "metrics", "data", "store", "training", "plugins", "experiment",
    "evaluation", "results", "jobs", "tuning", "auditing", "reports", "api", "cli",
)  # fmt: skip
ANYTHING = {"__init__", "__main__", "_worker"}  # start something, or name what the package offers
PLUGINS = {"datasets", "models"}  # built-in plugins: nothing but `miabench` itself imports them
PUBLIC = {"miabench", "miabench.logprob"}
MODULES = sorted(info.name for info in pkgutil.walk_packages(miabench.__path__, "miabench."))
ENGINE = [path for path in sorted((ROOT / "miabench").rglob("*.py")) if path.stem != "__main__"]


def imported(path):
    """Modules of miabench that a file imports anywhere: inside functions, and for types only, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found.update(modules or {node.module})
    return {name for name in found if name.split(".")[0] == "miabench"}


def folder(module):
    return [*module.split("."), "__init__"][1]


def name_of(path):
    parts = path.relative_to(ROOT / "miabench").with_suffix("").parts
    return ".".join(["miabench", *(parts[:-1] if parts[-1] == "__init__" else parts)])


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_imports_go_one_way(path):
    own = folder(name_of(path))
    if own in ANYTHING | PLUGINS:
        return
    for module in imported(path):
        other = folder(module)
        assert other not in ANYTHING | PLUGINS, f"{name_of(path)} imports {module}"
        assert FOLDERS.index(other) <= FOLDERS.index(own), f"{name_of(path)} imports {module}, which stands above it"


def test_imports_make_no_circle():
    graph = {name_of(path): imported(path) & set(MODULES) for path in ENGINE if folder(name_of(path)) not in ANYTHING}
    done, trail = set(), []

    def visit(module):
        assert module not in trail, f"a circle: {' -> '.join([*trail[trail.index(module) :], module])}"
        if module not in done:
            trail.append(module)
            for other in sorted(graph.get(module, ())):
                visit(other)
            done.add(trail.pop())

    for module in sorted(graph):
        visit(module)


@pytest.mark.parametrize("path", sorted([*(ROOT / "defenses").glob("*.py"), *(ROOT / "attacks").glob("*.py")]), ids=str)
def test_plugins_import_only_the_public_api(path):
    own = f"miabench.{path.parent.name}."
    assert {name for name in imported(path) if not name.startswith(own + "_")} <= PUBLIC


def test_the_top_of_the_package_is_small():
    rooms = {info.name for info in pkgutil.iter_modules(miabench.__path__)}
    assert len(rooms) <= 26
    public = {"train", "attack", "run", "report", "tune", "audit", "gate", "status", "list_plugins", "new", "compare"}
    assert not rooms & (public | {"recommend", "estimate"}), "a module would hide the function of its name"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name):
    if name not in ("miabench.__main__", "miabench._worker"):
        importlib.import_module(name)


def test_the_public_names_are_there():
    for name in miabench.__all__:
        assert getattr(miabench, name) is not None
