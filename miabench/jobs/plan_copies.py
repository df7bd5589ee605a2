"""Planning an attacker's own models: what learns from the answers of the target, or of a shadow."""

from __future__ import annotations

from dataclasses import replace

from miabench import seeds
from miabench.data.splits import Split
from miabench.jobs.cells import DataAndModel
from miabench.jobs.graph import Graph
from miabench.jobs.plan_observations import plan_probe
from miabench.jobs.plan_trainings import PlannedNetwork, TrainingRequest, plan_training
from miabench.jobs.specs import ModelView
from miabench.plugins.attack import Attack, Copy, Logits

ORIGINAL = "original"  # under which name a copy finds the answers that it learns from


def plan_copies(
    graph: Graph, site: DataAndModel, original: PlannedNetwork, attack: Attack
) -> dict[str, list[ModelView]]:
    """The copies of one model that an attack requires, by name, each as the attack sees it after its epochs."""
    return {
        name: [_seen(graph, site, copy, attack) for copy in _trained(graph, site, original, (name, wanted))]
        for name, wanted in attack.requires().items()
    }


def _trained(
    graph: Graph, site: DataAndModel, original: PlannedNetwork, named: tuple[str, Copy]
) -> list[PlannedNetwork]:
    """The copy of a name after each of its epochs: snapshots of one training."""
    name, copy = named
    defense = graph.configured.defense(copy.defense, copy.params)
    own, outside = graph.split(site, original.role), site.protocol.outside(original.role)
    assert outside is not None, "attacks that need it are n/a"
    answers = {ORIGINAL: plan_probe(graph, site, original, Logits()).key}
    request = TrainingRequest(
        role=original.role,
        site=site,
        defense=defense,
        records=Split(outside, own.test, own.seed),
        seed=seeds.derive(original.seed, f"copy {name}"),
        label=f"{site.dataset} {site.model.label} {defense.label} of {original.role} {original.network[:8]}",
        schedule=site.schedule.replaced(copy.schedule),
        answers=answers,
    )
    return [plan_training(graph, replace(request, epochs=epoch)) for epoch in copy.epochs or (None,)]


def _seen(graph: Graph, site: DataAndModel, copy: PlannedNetwork, attack: Attack) -> ModelView:
    return ModelView(
        observations=[plan_probe(graph, site, copy, probe, attack).key for probe in attack.probes()],
        members=copy.members,
        non_members=copy.non_members,
    )
