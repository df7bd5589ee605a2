"""Planning trainings: every role's network, after the trainings that its defense starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from miabench.data.splits import Split
from miabench.errors import UserError
from miabench.jobs.cells import DataAndModel
from miabench.jobs.configured import ConfiguredPlugin
from miabench.jobs.graph import Graph, Work, united
from miabench.jobs.specs import TrainingSpec
from miabench.plugins.defense import Defense, Role, Train
from miabench.plugins.discover import PluginFile
from miabench.training.schedule import Schedule

DEEPEST = 8  # trainings that start from each other


@dataclass(frozen=True)
class PlannedNetwork:
    """One planned network, and the lists of the records it must protect, is tested on, and that were withheld.

    Attributes:
        role: which model it is.
        seed: of its streams.
        plugins: the plugin files whose code its training runs.
    """

    role: str
    seed: int
    network: str
    members: str
    non_members: str
    withheld: tuple[str, ...]
    plugins: tuple[PluginFile, ...]


@dataclass(frozen=True)
class TrainingRequest:
    """A network that is wanted: which model, under which defense, on which records, after how many epochs.

    Attributes:
        epochs: None: all of the schedule's.
        answers: of a copy: keys of the observations that it learns from, by name.
    """

    role: str
    site: DataAndModel
    defense: ConfiguredPlugin[Defense]
    records: Split
    seed: int
    label: str
    schedule: Schedule
    epochs: int | None = None
    answers: Mapping[str, str] = field(default_factory=dict)


def plan_role(
    graph: Graph, site: DataAndModel, defense: ConfiguredPlugin[Defense], run: int, role: str
) -> PlannedNetwork:
    """The network of one role; several runs, attackers and cells may want the same."""
    label = f"{site.dataset} {site.model.label} {defense.label}"
    seed = site.protocol.role_seed(run, role)
    request = TrainingRequest(
        role=role,
        site=site,
        defense=defense,
        records=graph.split(site, role),
        seed=seed,
        label=f"{label} run {run} {role}",
        schedule=defense.schedule,
    )
    return graph.once(("network", label, seed), lambda: plan_training(graph, request))


def plan_training(graph: Graph, request: TrainingRequest, depth: int = 0) -> PlannedNetwork:
    """One network, after the trainings it starts from.

    Raises:
        UserError: trainings that require each other; too few records; an epoch beyond the schedule.
    """
    if depth > DEEPEST:
        raise UserError(f"{request.label}: trainings require each other in a circle")
    site, defense = request.site, request.defense
    parts, test = graph.listed(site.data, request.records, defense.plugin.withhold())
    given = _given(graph, request, depth)
    spec = TrainingSpec(
        parts=parts,
        preparation=site.data.preparation,
        model=site.model.component,
        defense=defense.component,
        schedule=request.schedule,
        seed=request.seed,
        compute=graph.configured.compute,
        given={name: network.network for name, network in given.items()},
        answers=dict(request.answers),
    )
    last = spec.schedule.epochs
    epoch = last if request.epochs is None else request.epochs
    if not 1 <= epoch <= last:
        raise UserError(f"{request.label}: epochs = {epoch} is not within the schedule's 1 to {last}")
    own = graph.configured.plugins.files_of(defense.plugin, site.model.plugin)
    members = graph.size(parts["train"].ids)
    plugins = united(own, *(network.plugins for network in given.values()), site.plugins)
    return PlannedNetwork(
        role=request.role,
        seed=request.seed,
        network=graph.add_training(site, spec, epoch, Work(request.label, plugins, float(members))),
        members=parts["train"].ids,
        non_members=test,
        withheld=tuple(part.ids for name, part in parts.items() if name != "train"),
        plugins=plugins,
    )


def _given(graph: Graph, request: TrainingRequest, depth: int) -> Mapping[str, PlannedNetwork]:
    """The networks that a training starts from, by the defense's names for them."""
    defense = request.defense.plugin
    if type(defense).requires is Defense.requires:  # none; most defenses need no lists read
        return {}
    ids = {name: torch.from_numpy(rows) for name, rows in request.records.withhold(defense.withhold()).items()}
    return {
        name: plan_training(graph, _required(graph, request, train, ids["train"]), depth + 1)
        for name, train in defense.requires(Role(ids, request.seed)).items()
    }


def _required(graph: Graph, request: TrainingRequest, train: Train, train_ids: torch.Tensor) -> TrainingRequest:
    """What a training that another starts from is trained on."""
    rows = train_ids if isinstance(train.ids, str) else train.ids
    defense = graph.configured.defense(train.defense, train.params)
    return TrainingRequest(
        role=request.role,
        site=request.site,
        defense=defense,
        records=Split(rows.numpy(), request.records.test, request.records.seed),
        seed=request.seed,
        label=f"{request.label} < {defense.label}",
        schedule=request.schedule.replaced(train.schedule),
        epochs=train.epochs,
    )
