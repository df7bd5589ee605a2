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
    from miabench.api.auditing import audit as audit
    from miabench.api.create import create_attack as create_attack
    from miabench.api.create import create_defense as create_defense
    from miabench.api.create import create_model as create_model
    from miabench.api.create import load_dataset as load_dataset
    from miabench.api.keeping import store_du as store_du
    from miabench.api.keeping import store_export as store_export
    from miabench.api.keeping import store_gc as store_gc
    from miabench.api.keeping import store_import as store_import
    from miabench.api.keeping import store_ls as store_ls
    from miabench.api.keeping import store_verify as store_verify
    from miabench.api.looking import compare as compare
    from miabench.api.looking import gate as gate
    from miabench.api.looking import recommend as recommend
    from miabench.api.looking import report as report
    from miabench.api.looking import status as status
    from miabench.api.running import attack as attack
    from miabench.api.running import estimate as estimate
    from miabench.api.running import run as run
    from miabench.api.running import train as train
    from miabench.api.running import tune as tune
    from miabench.auditing.result import Audit as Audit
    from miabench.cli.listing import list_plugins as list_plugins
    from miabench.cli.new import new as new
    from miabench.data.augmentation import crop_flip as crop_flip
    from miabench.data.pool import Data as Data
    from miabench.data.pool import Domain as Domain
    from miabench.errors import TrainingError as TrainingError
    from miabench.errors import UserError as UserError
    from miabench.experiment.model import Experiment as Experiment
    from miabench.plugins.attack import Access as Access
    from miabench.plugins.attack import Attack as Attack
    from miabench.plugins.attack import Copy as Copy
    from miabench.plugins.attack import Logits as Logits
    from miabench.plugins.attack import Observed as Observed
    from miabench.plugins.attack import Probe as Probe
    from miabench.plugins.attack import References as References
    from miabench.plugins.attack import Scores as Scores
    from miabench.plugins.attack import State as State
    from miabench.plugins.base import EPOCHS as EPOCHS
    from miabench.plugins.base import Epochs as Epochs
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
    "create_attack": "miabench.api.create",
    "create_defense": "miabench.api.create",
    "create_model": "miabench.api.create",
    "load_dataset": "miabench.api.create",
    "store_du": "miabench.api.keeping",
    "store_export": "miabench.api.keeping",
    "store_gc": "miabench.api.keeping",
    "store_import": "miabench.api.keeping",
    "store_ls": "miabench.api.keeping",
    "store_verify": "miabench.api.keeping",
    "compare": "miabench.api.looking",
    "gate": "miabench.api.looking",
    "recommend": "miabench.api.looking",
    "report": "miabench.api.looking",
    "status": "miabench.api.looking",
    "attack": "miabench.api.running",
    "estimate": "miabench.api.running",
    "run": "miabench.api.running",
    "train": "miabench.api.running",
    "tune": "miabench.api.running",
    "audit": "miabench.api.auditing",
    "list_plugins": "miabench.cli.listing",
    "new": "miabench.cli.new",
    "Access": "miabench.plugins.attack",
    "Attack": "miabench.plugins.attack",
    "Audit": "miabench.auditing.result",
    "Claim": "miabench.plugins.defense",
    "Copy": "miabench.plugins.attack",
    "Dataset": "miabench.plugins.dataset",
    "Defense": "miabench.plugins.defense",
    "EPOCHS": "miabench.plugins.base",
    "Epochs": "miabench.plugins.base",
    "Domain": "miabench.data.pool",
    "Logits": "miabench.plugins.attack",
    "Model": "miabench.plugins.model",
    "Observed": "miabench.plugins.attack",
    "Probe": "miabench.plugins.attack",
    "Range": "miabench.plugins.defense",
    "References": "miabench.plugins.attack",
    "Role": "miabench.plugins.defense",
    "Scores": "miabench.plugins.attack",
    "State": "miabench.plugins.attack",
    "Train": "miabench.plugins.defense",
    "Criterion": "miabench.training.criterion",
    "crop_flip": "miabench.data.augmentation",
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
_HELPERS = {"Any", "TYPE_CHECKING", "annotations", "import_module"}
__all__ = ["__version__", "metrics", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("miabench.metrics")
    if name not in _HOME:
        raise AttributeError(f"module 'miabench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name not in _HELPERS)})
