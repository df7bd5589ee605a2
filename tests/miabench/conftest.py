"""A small experiment made of the throw-away plugins in tests/plugins."""

from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"


def plugin(name: str) -> str:
    return str(PLUGINS / f"{name}.py")


@pytest.fixture
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
            "plugins": [plugin("toy"), plugin("margin")],
        }
        more = changes.pop("more_plugins", [])
        return experiment | changes | {"plugins": experiment["plugins"] + [plugin(name) for name in more]}

    return make
