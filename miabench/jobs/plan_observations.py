"""Planning what networks are asked: observations, and what is computed from them."""

from __future__ import annotations

import numpy as np

from miabench.data.pool import Data
from miabench.data.splits import Ids
from miabench.jobs.cells import DataAndModel
from miabench.jobs.graph import Graph, Work, united
from miabench.jobs.plan_trainings import PlannedNetwork
from miabench.jobs.specs import DerivedSpec, ObservationSpec, ProbeSpec
from miabench.plugins.attack import Attack, Logits, Probe
from miabench.plugins.discover import PluginFile
from miabench.store.store import Ref


def plan_probe(
    graph: Graph, site: DataAndModel, trained: PlannedNetwork, probe: Probe, attack: Attack | None = None
) -> Ref:
    """One probe's answers from one network, for an attack or the accuracy, after those they are computed from."""
    own = type(probe).__module__.startswith("miabench.")  # otherwise found by importing the attack's file
    plugins = trained.plugins if own else united(graph.configured.plugins.files_of(attack), trained.plugins)
    if probe.of is None:
        return _plan_observation(graph, site, trained, probe, plugins)
    parent = plan_probe(graph, site, trained, probe.of, attack)
    observed = graph.jobs[parent.key].spec
    assert isinstance(observed, (ObservationSpec, DerivedSpec))
    spec = DerivedSpec(of=parent.key, probe=ProbeSpec.of(probe), part=observed.part, compute=graph.configured.compute)
    what = f"{type(probe).__name__} of network {trained.network[:8]}"
    weight = 0.1 * len(graph.store.ids(observed.part.ids))
    return graph.add(site, spec, [parent], Work(what, plugins, weight))


def _plan_observation(
    graph: Graph, site: DataAndModel, trained: PlannedNetwork, probe: Probe, plugins: tuple[PluginFile, ...]
) -> Ref:
    rows = np.arange(len(site.data)) if probe.whole_pool else own_rows(graph, site.data, trained, probe.records)
    asked = ProbeSpec.of(probe if probe.base is None else Logits())  # under whose name the engine's own is stored
    spec = ObservationSpec(
        network=trained.network,
        probe=asked,
        part=graph.part(site.data, rows),
        preparation=site.data.preparation,
        seed=graph.configured.experiment.seed,
        compute=graph.configured.compute,
    )
    what = f"{asked.qualname} of network {trained.network[:8]}"
    return graph.add(site, spec, [Ref("networks", trained.network)], Work(what, plugins, len(rows)))


def own_rows(graph: Graph, data: Data, trained: PlannedNetwork, records: int | None) -> Ids:
    """A model's members, then its non-members; of each at most some, drawn by content."""
    lists = [graph.store.ids(trained.members), graph.store.ids(trained.non_members)]
    return np.concatenate(lists if records is None else [data.drawn(ids, records) for ids in lists])
