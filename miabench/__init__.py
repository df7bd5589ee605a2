"""miabench: which defense makes my classifier leak least about its training data, at what cost?

Importing this package imports no torch; names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pydantic import Field as Field

    from miabench import metrics as metrics
    from miabench.api import create_attack as create_attack
    from miabench.api import create_defense as create_defense
    from miabench.api import create_model as create_model
    from miabench.api import load_dataset as load_dataset
    from miabench.api import run as run
    from miabench.contracts import Attack as Attack
    from miabench.contracts import Claim as Claim
    from miabench.contracts import Dataset as Dataset
    from miabench.contracts import Defense as Defense
    from miabench.contracts import Domain as Domain
    from miabench.contracts import Logits as Logits
    from miabench.contracts import Model as Model
    from miabench.contracts import Observed as Observed
    from miabench.contracts import Probe as Probe
    from miabench.contracts import Range as Range
    from miabench.contracts import Role as Role
    from miabench.contracts import State as State
    from miabench.contracts import Train as Train
    from miabench.criterion import Criterion as Criterion
    from miabench.data import Data as Data
    from miabench.errors import TrainingError as TrainingError
    from miabench.errors import UserError as UserError
    from miabench.experiment import Experiment as Experiment
    from miabench.hashed import LATER as LATER
    from miabench.network import Classifier as Classifier
    from miabench.probes import FeatureNorm as FeatureNorm
    from miabench.probes import LogOdds as LogOdds
    from miabench.probes import TrueProbability as TrueProbability
    from miabench.schedule import Schedule as Schedule
    from miabench.serving import RecordNoise as RecordNoise
    from miabench.training import Task as Task

_HOME = {
    "Field": "pydantic",
    "create_attack": "miabench.api",
    "create_defense": "miabench.api",
    "create_model": "miabench.api",
    "load_dataset": "miabench.api",
    "run": "miabench.api",
    "Attack": "miabench.contracts",
    "Claim": "miabench.contracts",
    "Dataset": "miabench.contracts",
    "Defense": "miabench.contracts",
    "Domain": "miabench.contracts",
    "Logits": "miabench.contracts",
    "Model": "miabench.contracts",
    "Observed": "miabench.contracts",
    "Probe": "miabench.contracts",
    "Range": "miabench.contracts",
    "Role": "miabench.contracts",
    "State": "miabench.contracts",
    "Train": "miabench.contracts",
    "Criterion": "miabench.criterion",
    "Data": "miabench.data",
    "TrainingError": "miabench.errors",
    "UserError": "miabench.errors",
    "Experiment": "miabench.experiment",
    "LATER": "miabench.hashed",
    "Classifier": "miabench.network",
    "FeatureNorm": "miabench.probes",
    "LogOdds": "miabench.probes",
    "TrueProbability": "miabench.probes",
    "RecordNoise": "miabench.serving",
    "Schedule": "miabench.schedule",
    "Task": "miabench.training",
}
__all__ = ["__version__", "metrics", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("miabench.metrics")
    if name not in _HOME:
        raise AttributeError(f"module 'miabench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
