"""Planning attacks and metrics: what the results of a cell will be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from miabench import metrics
from miabench.data.protocols import Target
from miabench.evaluation.measure import NO_SHADOWS
from miabench.jobs.cells import DataAndModel, PlannedCell
from miabench.jobs.configured import ConfiguredPlugin
from miabench.jobs.graph import Graph, Work, united
from miabench.jobs.plan_observations import plan_probe
from miabench.jobs.plan_trainings import PlannedNetwork, plan_role
from miabench.jobs.plan_views import plan_view
from miabench.jobs.specs import AttackSpec, MeasureSpec, ProbeSpec
from miabench.plugins.attack import Attack, Logits
from miabench.results.index import Entry
from miabench.seeds import role_seed
from miabench.store.store import Ref

ATTACKERS = {"adaptive": "same", "non-adaptive": "baseline"}  # and the defense of each one's shadow models


@dataclass(frozen=True)
class Attackers:
    """A planned target, and the models that one kind of attacker trained.

    Attributes:
        name: `adaptive` or `non-adaptive`.
        target: how the models are related.
        networks: of the target, of each shadow and of each reference, by role.
    """

    name: str
    target: Target
    networks: dict[str, PlannedNetwork]


def plan_cell(graph: Graph, planned: PlannedCell) -> Iterator[Entry]:
    """The results of a cell to be, and their jobs."""
    for target in planned.site.protocol.targets():
        if planned.cell.reason:
            yield from _missing(graph, planned, target)
        else:
            yield from _plan_target(graph, planned, target)


def _wanted(graph: Graph) -> dict[str, str]:
    """The experiment's attackers, and the defense of each one's shadow models."""
    wanted = graph.configured.experiment.attacker.shadow_defense
    return {name: defense for name, defense in ATTACKERS.items() if wanted in (defense, "both")}


def _missing(graph: Graph, planned: PlannedCell, target: Target) -> Iterator[Entry]:
    """What a cell that cannot be trained would have had."""
    yield Entry(cell=planned.number, run=target.run, reason=planned.cell.reason)
    for attacker in _wanted(graph):
        for attack in graph.configured.attacks:
            yield Entry(
                cell=planned.number, run=target.run, attacker=attacker, attack=attack.label, reason=planned.cell.reason
            )


def _plan_target(graph: Graph, planned: PlannedCell, target: Target) -> Iterator[Entry]:
    site = planned.site
    network = plan_role(graph, site, planned.defense, target.run, target.role)
    yield _plan_accuracy(graph, planned, target.run, network)
    for attacker, shadow_defense in _wanted(graph).items():
        own = planned.defense
        if shadow_defense != "same":
            own = graph.configured.baseline().under(site.schedule)
        used = dict.fromkeys((*target.shadows, *target.references))
        others = {role: plan_role(graph, site, own, target.run, role) for role in used}
        attackers = Attackers(attacker, target, {target.role: network, **others})
        for attack in graph.configured.attacks:
            yield _plan_attack(graph, planned, attackers, attack)


def _plan_accuracy(graph: Graph, planned: PlannedCell, run: int, trained: PlannedNetwork) -> Entry:
    site = planned.site
    logits = plan_probe(graph, site, trained, Logits())
    spec = MeasureSpec(
        version=metrics.VERSION,
        scores=None,
        logits=logits.key,
        members=trained.members,
        non_members=trained.non_members,
    )
    measured = graph.add(site, spec, [logits], Work(f"accuracy of {planned.cell.label} run {run}", site.plugins))
    network = Ref("networks", trained.network)
    return Entry(cell=planned.number, run=run, metrics=measured, records=measured, network=network)


def _plan_attack(graph: Graph, planned: PlannedCell, attackers: Attackers, built: ConfiguredPlugin[Attack]) -> Entry:
    site, attack, target = planned.site, built.plugin, attackers.target
    key = ("unsupported", site.dataset, site.model.label, built.label)
    if reason := graph.once(key, lambda: _unsupported(graph, site, attack)):
        return Entry(cell=planned.number, run=target.run, attacker=attackers.name, attack=built.label, reason=reason)
    compared = target.references if attack.references != "none" else ()
    used = dict.fromkeys((target.role, *target.shadows, *compared))
    views = {role: plan_view(graph, site, attackers.networks[role], built) for role in used}
    spec = AttackSpec(
        attack=built.component,
        probes=[ProbeSpec.of(probe) for probe in attack.probes()],
        target=views[target.role],
        shadows=[views[role] for role in target.shadows],
        labels=graph.pool(site.data).content,
        seed=role_seed(graph.configured.experiment.seed, target.run, "attacker"),
        compute=graph.configured.compute,
        others=[] if compared == target.shadows else [views[role] for role in compared],
    )
    seen = [each for view in views.values() for each in (view, *chain(*view.copies.values()))]
    needs = [Ref("observations", key) for view in seen for key in view.observations]
    what = (
        f"{built.label} ({attackers.name}) on {planned.cell.dataset} {planned.cell.model} {planned.cell.label} "
        f"run {target.run}"
    )
    records = sum(graph.size(view.members, view.non_members) for view in views.values())
    plugins = united(graph.configured.plugins.files_of(attack), site.plugins)
    scores = graph.add(site, spec, needs, Work(what, plugins, 3 * records))
    measure = MeasureSpec(
        version=metrics.VERSION,
        scores=scores.key,
        logits=None,
        members=spec.target.members,
        non_members=spec.target.non_members,
    )
    return Entry(
        cell=planned.number,
        run=target.run,
        attacker=attackers.name,
        attack=built.label,
        metrics=graph.add(site, measure, [scores], Work(what, site.plugins)),
        records=scores,
        network=Ref("networks", attackers.networks[target.role].network),
    )


def _unsupported(graph: Graph, site: DataAndModel, attack: Attack) -> str | None:
    """Why an attack cannot be run here, or None."""
    halves = site.protocol.name == "disjoint"
    if attack.references == "in+out" and halves:
        return "it needs reference models trained with and without each record; protocol disjoint has none"
    if not all(probe.root.whole_pool for probe in attack.probes()):
        if attack.references != "none":
            return "it compares with reference models through a probe that is not stored for the whole pool"
        if attack.population or attack.requires():
            return "it looks at other records through a probe that is not stored for the whole pool"
    first = site.protocol.targets()[0]
    if graph.outside(site, first.role) is None:
        if attack.population == "needed":
            return "it compares with records known to be outside a model's training, and there are none"
        if attack.requires():
            return "it trains models on records known to be outside a model's training, and there are none"
    learns = type(attack).fit is not Attack.fit
    if (learns and not first.shadows) or (attack.references != "none" and not first.references):
        return NO_SHADOWS
    return attack.unsupported("disjoint" if halves else "pool", site.data, site.model.plugin)
