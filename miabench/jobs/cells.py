"""The cells of an experiment: which can be trained, what the user should know of each; no keys and no jobs yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from miabench.data.pool import Data
from miabench.data.protocols import Halves, Models, Pool
from miabench.data.splits import halves
from miabench.experiment.cell_names import by_default
from miabench.experiment.model import Choice, Experiment
from miabench.jobs.configured import Configured, ConfiguredPlugin
from miabench.plugins.contract import check_model
from miabench.plugins.dataset import Dataset
from miabench.plugins.defense import Defense
from miabench.plugins.discover import PluginFile
from miabench.plugins.model import Model
from miabench.results.index import Cell
from miabench.training.schedule import Schedule


@dataclass(frozen=True)
class DataAndModel:
    """One dataset and model: where cells stand.

    Attributes:
        choice: names the dataset to a worker.
        dataset: its label.
        schedule: of everything that is trained here, but for what defenses replace.
        protocol: which models are trained on which of its records.
        plugins: the plugin file of the dataset, if it is one's.
    """

    choice: Choice
    dataset: str
    data: Data
    schedule: Schedule
    model: ConfiguredPlugin[Model]
    protocol: Models
    plugins: tuple[PluginFile, ...]


@dataclass(frozen=True)
class PlannedCell:
    """A cell as results show it, and what it is made of.

    Attributes:
        number: position among the experiment's cells.
    """

    number: int
    cell: Cell
    site: DataAndModel
    defense: ConfiguredPlugin[Defense]


@dataclass(frozen=True)
class PlannedCells:
    """All cells of an experiment.

    Attributes:
        notes: facts about the data that belong beside the results.
        warnings: what the user should know about the settings.
    """

    cells: Sequence[PlannedCell]
    notes: Sequence[str]
    warnings: Sequence[str]


def plan_cells(configured: Configured, data_root: Path) -> PlannedCells:
    """Load the datasets and decide on every cell.

    Raises:
        UserError: data that is missing or bad.
    """
    cells: list[PlannedCell] = []
    notes, warnings = list[str](), dict[str, None]()  # a warning of several cells stands once
    for dataset in configured.datasets:
        data = dataset.plugin.pool(data_root)
        notes += _facts(dataset.label, data)
        for site in _sites(configured, dataset, data):
            for defense in [defense.under(dataset.schedule) for defense in configured.defenses]:
                cell = _cell(site, defense)
                cells.append(PlannedCell(len(cells), cell, site, defense))
                if not cell.reason:
                    warnings |= dict.fromkeys(defense.plugin.advice(data, site.model.plugin))
    return PlannedCells(cells, notes, list(warnings))


def _facts(label: str, data: Data) -> Iterator[str]:
    yield f"{label}: {len(data):,} records, {data.num_classes} classes"
    yield from (f"{label}: {note}" for note in data.notes)
    if data.duplicates:
        yield (
            f"{label}: {data.duplicates:,} records repeat the input of another: a member's twin may be a non-member; "
            "deduplicate = true drops them"
        )


def _sites(configured: Configured, dataset: ConfiguredPlugin[Dataset], data: Data) -> Iterator[DataAndModel]:
    experiment = configured.experiment
    choice = Choice.model_validate({"name": dataset.component.name, **dataset.component.params})
    protocol = _models(experiment, len(data))
    plugins = configured.plugins.files_of(dataset.plugin)
    for model in configured.models:
        if model.plugin.unsupported(data.domain) is None:
            check_model(model.label, model.plugin, data)
        yield DataAndModel(choice, dataset.label, data, dataset.schedule, model, protocol, plugins)


def _models(experiment: Experiment, n: int) -> Models:
    """The models that an experiment trains on a pool of n records."""
    if experiment.protocol == "disjoint":
        return Halves(n, experiment.seed, experiment.runs, experiment.shadows)
    _, shadow_half = halves(n, experiment.seed)
    rows = shadow_half if experiment.protocol == "tune" else np.arange(n)
    sizes = (experiment.models, experiment.shadows, experiment.population)
    return Pool(rows, experiment.seed, *sizes, name=experiment.protocol)


def _cell(site: DataAndModel, defense: ConfiguredPlugin[Defense]) -> Cell:
    reason = _unsupported(site, defense.plugin)
    return Cell(
        dataset=site.dataset,
        model=site.model.label,
        defense=defense.component.name,
        params=dict(defense.non_default),
        by_default=by_default(defense.plugin, defense.non_default),
        is_baseline=defense.plugin.is_baseline(),
        reason=reason,
        claim=None if reason else defense.plugin.claim,
        counts={} if reason else _counts(site, defense.plugin),
    )


def _unsupported(site: DataAndModel, defense: Defense) -> str | None:
    """Why a cell is "n/a", or None."""
    model = site.model.plugin
    if reason := model.unsupported(site.data.domain):
        return f"{site.model.label}: {reason}"
    return defense.unsupported(site.data, model)


def _counts(site: DataAndModel, defense: Defense) -> dict[str, int]:
    """Members, non-members and withheld records of the first target."""
    split = site.protocol.split(site.protocol.targets()[0].role)
    parts = split.withhold(defense.withhold())
    counts = {"members": len(parts.pop("train")), "non-members": len(split.test)}
    return counts | {name: len(ids) for name, ids in parts.items()}
