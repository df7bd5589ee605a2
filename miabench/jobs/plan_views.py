"""Planning what an attack sees of each model."""

from __future__ import annotations

from miabench.jobs.cells import DataAndModel
from miabench.jobs.configured import ConfiguredPlugin
from miabench.jobs.graph import Graph
from miabench.jobs.plan_copies import plan_copies
from miabench.jobs.plan_observations import own_part, plan_probe
from miabench.jobs.plan_trainings import PlannedNetwork
from miabench.jobs.specs import ModelView
from miabench.plugins.attack import Attack


def plan_view(graph: Graph, site: DataAndModel, trained: PlannedNetwork, attack: ConfiguredPlugin[Attack]) -> ModelView:
    """One model as an attack sees it, after the observations that takes."""
    key = ("view", site.dataset, trained.network, attack.label)
    return graph.once(key, lambda: _view(graph, site, trained, attack.plugin))


def _view(graph: Graph, site: DataAndModel, trained: PlannedNetwork, attack: Attack) -> ModelView:
    limits = [probe.root.records for probe in attack.probes() if probe.root.records is not None]
    withheld = trained.withheld if attack.references != "none" else ()
    return ModelView(
        observations=[plan_probe(graph, site, trained, probe, attack).key for probe in attack.probes()],
        members=trained.members,
        non_members=trained.non_members,
        withheld=graph.once(("joined", *withheld), lambda: graph.put(graph.joined(withheld))) if withheld else None,
        scored=own_part(graph, site.data, trained, min(limits)).ids if limits else None,
        population=graph.outside(site, trained.role) if attack.population else None,
        pair=site.protocol.pair(trained.role) if attack.references != "none" else None,
        copies=plan_copies(graph, site, trained, attack),
    )
