"""The shape of the code: what may import what, and that every module imports."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import miabench

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"cli", "__main__"},
    {
        "api",
        "audit",
        "estimate",
        "pareto",
        "scaling",
        "search_space",
        "trials",
        "tuning",
        "stages",
        "progress",
        "listing",
        "status",
        "new",
        "templates",
        "_worker",
    },
    {"running", "executors", "report", "results"},
    {"plan", "jobs"},
    {"observed"},
    {"observing"},
    {"index", "evaluation", "specs", "environment"},
    {"training", "store", "serving", "checkpoint", "cost", "grid", "labels", "toml_text", "records"},
    {"datasets", "models", "splits", "data", "augmentation", "metrics"},
    {"archive", "download", "kept_arrays", "normalisation", "npz", "text"},
    {"atomic"},
    {"experiment", "discovery"},
    {
        "contracts",
        "probes",
        "network",
        "criterion",
        "schedule",
        "seeds",
        "errors",
        "hashed",
        "logprob",
        "process_state",
    },
]
PUBLIC = {"miabench", "miabench.logprob"}
MODULES = sorted(info.name for info in pkgutil.walk_packages(miabench.__path__, "miabench."))


def imported(path):
    """Modules of miabench that a file imports when it is itself imported (not inside functions or for types only)."""
    found = set()

    def visit(nodes):
        for node in nodes:
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module == "miabench":
                modules = {f"miabench.{alias.name}" for alias in node.names} & set(MODULES)
                found.update(modules or {"miabench"})
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module)
            elif not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                visit(ast.iter_child_nodes(node))

    visit(ast.parse(path.read_text()).body)
    return {name for name in found if name.split(".")[0] == "miabench"}


def layer(module):
    name = module.split(".")[1]
    return next(i for i, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", sorted((ROOT / "miabench").rglob("*.py")), ids=lambda p: p.stem)
def test_imports_go_one_way(path):
    own = "miabench." + ".".join(path.relative_to(ROOT / "miabench").with_suffix("").parts)
    if own == "miabench.__init__":
        return
    for module in imported(path) - {"miabench"}:
        assert layer(own) <= layer(module), f"{own} imports {module}"


@pytest.mark.parametrize("path", sorted([*(ROOT / "defenses").glob("*.py"), *(ROOT / "attacks").glob("*.py")]), ids=str)
def test_plugins_import_only_the_public_api(path):
    folder = f"miabench.{path.parent.name}."
    assert {name for name in imported(path) if not name.startswith(folder + "_")} <= PUBLIC


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name):
    if name != "miabench.__main__":
        importlib.import_module(name)


def test_the_public_names_are_there():
    for name in miabench.__all__:
        assert getattr(miabench, name) is not None
