"""Planning what networks are asked: observations, and what is computed from them."""

from __future__ import annotations

import numpy as np

from miabench.data.pool import Data
from miabench.jobs.cells import DataAndModel
from miabench.jobs.graph import Graph, Work, united
from miabench.jobs.plan_trainings import PlannedNetwork
from miabench.jobs.specs import DerivedSpec, ObservationSpec, Part, ProbeSpec
from miabench.plugins.attack import Attack, Logits, Probe
from miabench.plugins.discover import PluginFile
from miabench.store.store import Ref


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
    part = graph.pool(site.data) if probe.whole_pool else own_part(graph, site.data, trained, probe.records)
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


def own_part(graph: Graph, data: Data, trained: PlannedNetwork, records: int | None) -> Part:
    """A model's members, then its non-members; of each at most some, drawn by content."""

    def part() -> Part:
        lists = [graph.store.ids(trained.members), graph.store.ids(trained.non_members)]
        drawn = lists if records is None else [data.drawn(ids, records) for ids in lists]
        return graph.part(data, np.concatenate(drawn))

    return graph.once(("own", data.identity, trained.members, trained.non_members, records), part)
