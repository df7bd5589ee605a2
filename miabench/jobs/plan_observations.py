"""Planning what networks are asked: observations, and what is computed from them."""

from __future__ import annotations

import numpy as np

from miabench.data.pool import Data
from miabench.jobs.cells import DataAndModel
from miabench.jobs.configured import ConfiguredPlugin
from miabench.jobs.graph import Graph, Work, united
from miabench.jobs.plan_trainings import PlannedNetwork
from miabench.jobs.specs import DerivedSpec, ModelView, ObservationSpec, Part, ProbeSpec
from miabench.plugins.attack import Attack, Logits, Probe
from miabench.plugins.discover import PluginFile
from miabench.store.store import Ref


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
        scored=_own_part(graph, site.data, trained, min(limits)).ids if limits else None,
        population=graph.outside(site, trained.role) if attack.population else None,
        pair=site.protocol.pair(trained.role) if attack.references != "none" else None,
    )


def plan_probe(
    graph: Graph, site: DataAndModel, trained: PlannedNetwork, probe: Probe, attack: Attack | None = None
) -> Ref:
    """One probe's answers from one network, for an attack or the accuracy, after those they are computed from."""
    plan = _plan_observation if probe.of is None else _plan_derived
    key = ("probe", site.dataset, trained.network, probe, _code(graph, trained, probe, attack))
    return graph.once(key, lambda: plan(graph, site, trained, probe, attack))


def _code(graph: Graph, trained: PlannedNetwork, probe: Probe, attack: Attack | None) -> tuple[PluginFile, ...]:
    """The plugin files whose code asking a network runs."""
    own = type(probe).__module__.startswith("miabench.")  # otherwise found by importing the attack's file
    return trained.plugins if own else united(graph.configured.plugins.files_of(attack), trained.plugins)


def _plan_derived(
    graph: Graph, site: DataAndModel, trained: PlannedNetwork, probe: Probe, attack: Attack | None
) -> Ref:
    assert probe.of is not None
    parent = plan_probe(graph, site, trained, probe.of, attack)
    observed = graph.jobs[parent.key].spec
    assert isinstance(observed, (ObservationSpec, DerivedSpec))
    spec = DerivedSpec(of=parent.key, probe=ProbeSpec.of(probe), part=observed.part, compute=graph.configured.compute)
    what = f"{type(probe).__name__} of network {trained.network[:8]}"
    work = Work(what, _code(graph, trained, probe, attack), 0.1 * graph.size(observed.part.ids))
    return graph.add(site, spec, [parent], work)


def _plan_observation(
    graph: Graph, site: DataAndModel, trained: PlannedNetwork, probe: Probe, attack: Attack | None
) -> Ref:
    part = graph.pool(site.data) if probe.whole_pool else _own_part(graph, site.data, trained, probe.records)
    asked = ProbeSpec.of(probe if probe.base is None else Logits())  # under whose name the engine's own is stored
    spec = ObservationSpec(
        network=trained.network,
        probe=asked,
        part=part,
        preparation=site.data.preparation,
        seed=graph.configured.experiment.seed,
        compute=graph.configured.compute,
    )
    what = f"{asked.qualname} of network {trained.network[:8]}"
    work = Work(what, _code(graph, trained, probe, attack), graph.size(part.ids))
    return graph.add(site, spec, [Ref("networks", trained.network)], work)


def _own_part(graph: Graph, data: Data, trained: PlannedNetwork, records: int | None) -> Part:
    """A model's members, then its non-members; of each at most some, drawn by content."""

    def part() -> Part:
        lists = [graph.store.ids(trained.members), graph.store.ids(trained.non_members)]
        drawn = lists if records is None else [data.drawn(ids, records) for ids in lists]
        return graph.part(data, np.concatenate(drawn))

    return graph.once(("own", data.identity, trained.members, trained.non_members, records), part)
