"""Fixtures that all tests share."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

if not (find_spec("miabench") and find_spec("miabench.defenses")):
    raise pytest.UsageError("miabench is not installed; pip install '.[test]', then start pytest, not python -m pytest")

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[2] / "shared"
PLUGINS = Path(__file__).parent / "plugins"  # throw-away plugins


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="also run tests marked slow")


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what it puts in the background so
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--runslow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: needs --runslow"))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What tests write need not survive a power cut: a store is some hundred small files, milliseconds each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def golden() -> Callable[[str], SimpleNamespace]:
    """Reference vectors by name: `.json` settings and, where there are any, `.arrays`."""

    def load(name: str) -> SimpleNamespace:
        arrays = GOLDEN / f"{name}.npz"
        return SimpleNamespace(
            json=json.loads((GOLDEN / f"{name}.json").read_text()),
            arrays=dict(np.load(arrays)) if arrays.exists() else {},
        )

    return load


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """An experiment that runs in a second; change what a test is about."""

    def make(**changes):
        experiment = {
            "name": "tiny",
            "dataset": "toy",
            "model": {"name": "mlp", "hidden": [16]},
            "defense": ["ce"],
            "attacks": ["margin"],
            "runs": 1,
            "shadows": 2,
            "schedule": {"epochs": 3, "batch_size": 16},
            "plugins": [str(PLUGINS / "toy.py"), str(PLUGINS / "margin.py")],
        }
        more = changes.pop("more_plugins", [])
        return (
            experiment | changes | {"plugins": experiment["plugins"] + [str(PLUGINS / f"{name}.py") for name in more]}
        )

    return make


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Run `miabench ...` in this process; gives status, standard output and error."""
    from miabench.cli import commands

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["miabench", *arguments])
        with pytest.raises(SystemExit) as end:
            commands.main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run
