"""Whole runs on records that carry their number, and what they left in the store: read from its files alone."""

from __future__ import annotations

import hashlib
import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from sklearn.model_selection import train_test_split

import miabench

PLUGINS = Path(__file__).parents[1] / "plugins"
FILES = ("numbered", "recorder", "spy", "spy_on_own", "noisy_server", "margin")
EXPERIMENT = {
    "name": "guarded",
    "dataset": "numbered",
    "model": "recorder",
    "defense": ["ce"],
    "attacks": ["margin"],
    "runs": 1,
    "shadows": 1,
    "seed": 5,
    "schedule": {"epochs": 3, "batch_size": 10},
    "plugins": [str(PLUGINS / f"{name}.py") for name in FILES],
}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: its store.
        table: what `miabench.run` returned.
        experiment: what it was asked for.
    """

    folder: Path
    table: pd.DataFrame
    experiment: dict[str, Any]

    def manifest(self, kind: str, key: str) -> dict[str, Any]:
        return json.loads((self.folder / kind / key / "manifest.json").read_text())

    def spec(self, kind: str, key: str) -> dict[str, Any]:
        return self.manifest(kind, key)["spec"]

    def arrays(self, kind: str, key: str) -> dict[str, np.ndarray]:
        return dict(np.load(self.folder / kind / key / "arrays.npz"))

    def weights(self, network: str) -> dict[str, Any]:
        return load_file(self.folder / "networks" / network / "weights.safetensors")

    def history(self, network: str) -> list[dict[str, float]]:
        return json.loads((self.folder / "networks" / network / "history.json").read_text())

    def rows(self, ids: str) -> np.ndarray:
        return np.load(self.folder / "ids" / f"{ids}.npy")

    def part(self, network: str, name: str = "train") -> np.ndarray:
        """Pool rows of one part of a network's training."""
        return self.rows(self.spec("networks", network)["parts"][name]["ids"])

    @property
    def networks(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "networks").iterdir() if path.name[0] != ".")

    def network(self, defense: str, run: int = 0, role: str = "target", **params: Any) -> str:
        """The one network that was trained under a defense from the seed of a run and role."""
        seed, found = role_seed(self.experiment["seed"], run, role), []
        for key in self.networks:
            spec = self.spec("networks", key)
            own = spec["defense"]
            if (own["name"], spec["seed"]) == (defense, seed) and params.items() <= own["params"].items():
                found.append(key)
        assert len(found) == 1, f"{len(found)} networks of {defense}, run {run}, {role}"
        return found[0]

    def where(self, **columns: Any) -> pd.DataFrame:
        """Rows of the table: those with the given values, None standing for a missing one."""
        table = self.table
        for name, value in columns.items():
            value = json.dumps(value) if name == "params" else value
            table = table[table[name].isna() if value is None else table[name] == value]
        return table

    def metrics_key(self, **columns: Any) -> str:
        (key,) = self.where(**columns).key.unique()
        return key

    def scores_key(self, **columns: Any) -> str:
        return self.spec("metrics", self.metrics_key(**columns))["scores"]

    def scores(self, **columns: Any) -> dict[str, np.ndarray]:
        return self.arrays("scores", self.scores_key(**columns))

    def observations(self, network: str) -> dict[str, np.ndarray]:
        """What a network answered to the question for logits on the whole pool."""
        for path in (self.folder / "observations").iterdir():
            spec = self.spec("observations", path.name)
            if spec["network"] == network and "logits" in json.dumps(spec["probe"]).lower():
                return self.arrays("observations", path.name)
        raise AssertionError(f"no logits of network {network}")

    def pool(self) -> miabench.Data:
        choice = self.experiment["dataset"]
        params = {key: value for key, value in choice.items() if key != "name"} if isinstance(choice, dict) else {}
        return runpy.run_path(str(PLUGINS / "numbered.py"))["Numbered"](**params).load(None)


def role_seed(seed: int, run: int, role: str) -> int:
    """The seed of a model: of (experiment seed, run, role) and nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{run}/{role}".encode()).digest()[:8], "little") >> 1


@pytest.fixture(scope="session")
def split():
    """Members and non-members of a role, as the reference code cuts them: (n, seed, role) -> two arrays of rows."""

    def split(n: int, seed: int, role: str) -> tuple[np.ndarray, np.ndarray]:
        target, shadow = train_test_split(np.arange(n), test_size=0.5, random_state=seed)
        if role == "target":
            return tuple(train_test_split(target, test_size=0.5, random_state=seed))
        return tuple(train_test_split(shadow, test_size=0.5, random_state=seed + int(role.removeprefix("shadow-"))))

    return split


@pytest.fixture(scope="session")
def run_in():
    """Run an experiment in a store, in this process; every job must succeed."""

    def run_in(folder: Path, **changes: Any) -> Run:
        experiment = EXPERIMENT | changes
        table = miabench.run(experiment, store=folder, executor="inline")
        wrong = table.reason[table.reason.notna() & ~table.reason.str.contains("needs .* members|needs .* non-members")]
        assert not len(wrong), wrong.unique()
        return Run(folder, table, experiment)

    return run_in


@pytest.fixture(scope="session")
def spied(tmp_path_factory, run_in):
    """Two defenses, two runs, both attackers, three shadows, and attacks that tell what they saw."""
    told = ["number", "label", "place", "membership", "reference", "level"]
    return run_in(
        tmp_path_factory.mktemp("spied"),
        defense=["ce", {"name": "relaxloss", "alpha": [0.5, 2.0]}],
        attacks=[*({"name": "spy", "told": what} for what in told), "spy-on-own"],
        attacker={"shadow_defense": "both"},
        runs=2,
        shadows=3,
    )


@pytest.fixture(scope="session")
def shown_flipped(tmp_path_factory, run_in):
    """Images that are cropped and flipped while training."""
    dataset = {"name": "numbered", "n": 64, "shape": [3, 10, 10], "augmentation": "crop-flip"}
    return run_in(tmp_path_factory.mktemp("flipped"), dataset=dataset, defense=["ce", "dmp"])
