"""Observing a network: a probe's answers about some records."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from miabench.jobs.arithmetic import DTYPES
from miabench.jobs.artifact import NewArtifact, computed
from miabench.jobs.observe import Questions, observe
from miabench.jobs.resources import Resources
from miabench.jobs.specs import Job, ObservationSpec
from miabench.training.serving import Served


def observe_network(job: Job, spec: ObservationSpec, resources: Resources) -> Iterator[NewArtifact]:
    """Ask a stored network, behind its defense."""
    data = resources.pool(job.dataset, job.identity)
    net, defense, training = resources.network(spec.network, data)
    served = Served(net, defense.server(), training.seed).eval()
    probe = resources.probe(spec.probe)
    rows = resources.store.ids(spec.part.ids)
    order = np.arange(len(rows)) if probe.whole_pool else data.by_content(rows)
    x, y = resources.inputs(job, DTYPES[spec.compute.precision]), data.y.to(resources.device)
    asked, places = (torch.from_numpy(ids).to(resources.device) for ids in (rows, order))
    questions = Questions(x, y, asked, places)
    begun = time.monotonic()
    arrays = observe(lambda: resources.probe(spec.probe), served, questions, spec.seed)
    cost = {"seconds": time.monotonic() - begun, "records": len(rows)}
    yield computed(job.gives[0], spec, arrays, resources.device, cost=cost)
