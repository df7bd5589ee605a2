"""The Python API: what the command line does, as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miabench.data.pool import Domain
from miabench.plugins.attack import Attack
from miabench.plugins.defense import Defense
from miabench.plugins.discover import discover

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from miabench.auditing.records import Records
    from miabench.auditing.result import Audit
    from miabench.data.pool import Data
    from miabench.experiment.model import Experiment
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
    from miabench.store.store import data_folder

    dataset = discover().get("dataset", name).build(params)
    return dataset.pool(data_folder(data_root))


def run(
    experiment: str | Path | Mapping[str, Any] | Experiment | None = None,
    *,
    plugins: Sequence[str | Path] = (),
    store: str | Path = "miabench-store",
    data_root: str | Path | None = None,
    executor: str = "local",
    workers: int | None = None,
) -> pd.DataFrame:
    """Train and attack whatever the store does not have, and return the results.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        plugins: more plugin files.
        store: folder of trained models and results.
        data_root: folder of downloaded and decoded data; by default the platform's cache folder.
        executor: `local` (worker processes) or `inline` (this process).
        workers: processes at once; None means one per core, or one on an accelerator.

    Returns:
        The tidy table: a row per cell, run, attacker, attack and metric; values are fractions. A job that failed
        shows as missing values with the reason.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data.
    """
    from miabench.experiment.load import load_experiment
    from miabench.jobs.plan import Paths, make_plan
    from miabench.jobs.stages import ExecutorConfig, run_stages
    from miabench.results.results import Results

    resolved = load_experiment(experiment, {"plugins": [str(file) for file in plugins]} if plugins else {})
    plan = make_plan(resolved, Paths(Path(store), None if data_root is None else Path(data_root)))
    run_stages(plan, ("train", "attack"), ExecutorConfig(executor, workers), lambda event: None)
    return Results(plan.index, plan.store).table


def audit(
    model: nn.Module | str | None,
    members: Records,
    nonmembers: Records,
    *,
    shadow_members: Sequence[str | Path] = (),
    shadow_nonmembers: Sequence[str | Path] = (),
    reference_answers: str | Path | None = None,
    reference_member: str | Path | None = None,
    features: bool = False,
) -> Audit:
    """Attack a model that was trained elsewhere: a network, or files of its predictions.

    Args:
        model: any network that answers logits (n, C), or (logits, features); `module:function` that gives one; None to
            audit files of predictions alone.
        members: records that the model was trained on: a pair of tensors (x, y), a DataLoader, a Dataset, or an npz of
            `x` and `labels`. Without a model, a file of predictions for them.
        nonmembers: the same of records of the same distribution that it was not trained on.
        shadow_members: files of predictions of shadow models for their members.
        shadow_nonmembers: for their non-members, in the same order.
        reference_answers: an npz of reference models' outputs (K, N, C) for the members, then the non-members.
        reference_member: an npz of booleans (K, N): which of them trained on which record; by default none on any.
        features: also fit a classifier that sees the records' features but no model.

    Raises:
        UserError: whatever is wrong with the model, the records or the files.
    """
    from miabench.auditing.audit import Others, audit, audit_network
    from miabench.auditing.references import reference_files

    references = reference_files(reference_answers, reference_member)
    shadows = [Path(file) for file in shadow_members], [Path(file) for file in shadow_nonmembers]
    if model is not None:
        return audit_network(model, members, nonmembers, Others(*shadows, references), features)
    return audit(_file(members), _file(nonmembers), *shadows, features, references)


def _file(given: Records) -> Path:
    from miabench.errors import UserError

    if not isinstance(given, (str, Path)):
        raise UserError(f"without a model, members and nonmembers are files of predictions, not {type(given).__name__}")
    return Path(given)
