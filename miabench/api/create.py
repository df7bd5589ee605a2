"""What makes defenses, attacks, models and data by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from miabench.data.pool import Domain
from miabench.plugins.attack import Attack
from miabench.plugins.defense import Defense
from miabench.plugins.discover import discover

if TYPE_CHECKING:
    from miabench.data.pool import Data
    from miabench.training.classifier import Classifier


def create_defense(name: str, **params: Any) -> Defense:
    """A defense, validated and frozen.

    Raises:
        UserError: unknown name or hyper-parameter, value out of bounds.
    """
    return discover().get("defense", name).build(params)


def create_attack(name: str, **params: Any) -> Attack:
    """An attack, validated and frozen.

    Raises:
        UserError: unknown name or parameter, value out of bounds.
    """
    return discover().get("attack", name).build(params)


def create_model(
    name: str, *, num_classes: int, input_shape: tuple[int, ...] = (3, 32, 32), **params: Any
) -> Classifier:
    """A freshly initialised network: `net(x) -> (logits, features)`.

    Raises:
        UserError: unknown name or argument, or a model that cannot take such records.
    """
    from miabench.errors import UserError

    model = discover().get("model", name).build(params)
    domain = Domain(input_shape, num_classes)
    if reason := model.unsupported(domain):
        raise UserError(f"model {name}: {reason}")
    return model.build(domain)


def load_dataset(name: str, *, data_root: str | Path | None = None, **params: Any) -> Data:
    """The pool of a dataset, as tensors.

    Args:
        name: of the dataset.
        data_root: folder for downloads and decoded copies; by default the platform's cache folder.
        **params: the dataset's arguments.

    Raises:
        UserError: unknown name or argument, data that is missing or bad.
    """
    from miabench.store.folder import data_folder

    dataset = discover().get("dataset", name).build(params)
    return dataset.pool(data_folder(data_root))
