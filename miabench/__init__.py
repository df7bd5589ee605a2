"""miabench: which defense makes my classifier leak least about its training data, at what cost?

Importing this package imports no torch; names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from miabench._version import __version__ as __version__

if TYPE_CHECKING:
    from pydantic import Field as Field

    from miabench import metrics as metrics
    from miabench.api import audit as audit
    from miabench.api import create_attack as create_attack
    from miabench.api import create_defense as create_defense
    from miabench.api import create_model as create_model
    from miabench.api import load_dataset as load_dataset
    from miabench.api import run as run
    from miabench.auditing.result import Audit as Audit
    from miabench.data.pool import Data as Data
    from miabench.data.pool import Domain as Domain
    from miabench.errors import TrainingError as TrainingError
    from miabench.errors import UserError as UserError
    from miabench.experiment.model import Experiment as Experiment
    from miabench.plugins.attack import Attack as Attack
    from miabench.plugins.attack import Logits as Logits
    from miabench.plugins.attack import Observed as Observed
    from miabench.plugins.attack import Probe as Probe
    from miabench.plugins.attack import State as State
    from miabench.plugins.dataset import Dataset as Dataset
    from miabench.plugins.defense import Claim as Claim
    from miabench.plugins.defense import Defense as Defense
    from miabench.plugins.defense import Range as Range
    from miabench.plugins.defense import Role as Role
    from miabench.plugins.defense import Train as Train
    from miabench.plugins.model import Model as Model
    from miabench.plugins.probes import FeatureNorm as FeatureNorm
    from miabench.plugins.probes import LogOdds as LogOdds
    from miabench.plugins.probes import TrueProbability as TrueProbability
    from miabench.store.hashed import LATER as LATER
    from miabench.training.classifier import Classifier as Classifier
    from miabench.training.criterion import Criterion as Criterion
    from miabench.training.schedule import Schedule as Schedule
    from miabench.training.serving import RecordNoise as RecordNoise
    from miabench.training.task import Task as Task

_HOME = {
    "Field": "pydantic",
    "audit": "miabench.api",
    "create_attack": "miabench.api",
    "create_defense": "miabench.api",
    "create_model": "miabench.api",
    "load_dataset": "miabench.api",
    "run": "miabench.api",
    "Attack": "miabench.plugins.attack",
    "Audit": "miabench.auditing.result",
    "Claim": "miabench.plugins.defense",
    "Dataset": "miabench.plugins.dataset",
    "Defense": "miabench.plugins.defense",
    "Domain": "miabench.data.pool",
    "Logits": "miabench.plugins.attack",
    "Model": "miabench.plugins.model",
    "Observed": "miabench.plugins.attack",
    "Probe": "miabench.plugins.attack",
    "Range": "miabench.plugins.defense",
    "Role": "miabench.plugins.defense",
    "State": "miabench.plugins.attack",
    "Train": "miabench.plugins.defense",
    "Criterion": "miabench.training.criterion",
    "Data": "miabench.data.pool",
    "TrainingError": "miabench.errors",
    "UserError": "miabench.errors",
    "Experiment": "miabench.experiment.model",
    "LATER": "miabench.store.hashed",
    "Classifier": "miabench.training.classifier",
    "FeatureNorm": "miabench.plugins.probes",
    "LogOdds": "miabench.plugins.probes",
    "TrueProbability": "miabench.plugins.probes",
    "RecordNoise": "miabench.training.serving",
    "Schedule": "miabench.training.schedule",
    "Task": "miabench.training.task",
}
__all__ = ["__version__", "metrics", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("miabench.metrics")
    if name not in _HOME:
        raise AttributeError(f"module 'miabench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
