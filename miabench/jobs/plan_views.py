"""Planning what an attack sees of each model."""

from __future__ import annotations

from miabench.jobs.cells import DataAndModel
from miabench.jobs.configured import ConfiguredPlugin
from miabench.jobs.graph import Graph
from miabench.jobs.plan_copies import plan_copies
from miabench.jobs.plan_observations import own_rows, plan_probe
from miabench.jobs.plan_trainings import PlannedNetwork
from miabench.jobs.specs import ModelView
from miabench.plugins.attack import Attack


def plan_view(graph: Graph, site: DataAndModel, trained: PlannedNetwork, attack: ConfiguredPlugin[Attack]) -> ModelView:
    """One model as an attack sees it, after the observations that takes."""
    key = (site.dataset, trained.network, attack.label)
    if key not in graph.views:
        graph.views[key] = _view(graph, site, trained, attack.plugin)
    return graph.views[key]


def _view(graph: Graph, site: DataAndModel, trained: PlannedNetwork, attack: Attack) -> ModelView:
    limits = [probe.root.records for probe in attack.probes() if probe.root.records is not None]
    scored = own_rows(graph, site.data, trained, min(limits)) if limits else None
    withheld = trained.withheld if attack.references != "none" else ()
    return ModelView(
        observations=[plan_probe(graph, site, trained, probe, attack).key for probe in attack.probes()],
        members=trained.members,
        non_members=trained.non_members,
        withheld=graph.store.put_ids(graph.joined(withheld)) if withheld else None,
        scored=None if scored is None else graph.store.put_ids(scored),
        population=_population(graph, site, trained) if attack.population else None,
        pair=site.protocol.pair(trained.role) if attack.references != "none" else None,
        copies=plan_copies(graph, site, trained, attack),
    )


def _population(graph: Graph, site: DataAndModel, trained: PlannedNetwork) -> str | None:
    """What an attacker knows to be outside a model's training and test part."""
    outside = site.protocol.outside(trained.role)
    return None if outside is None else graph.store.put_ids(outside)
