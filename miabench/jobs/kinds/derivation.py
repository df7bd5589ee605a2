"""Deriving a probe's answers from another's stored ones, without the network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from miabench.jobs.artifact import NewArtifact, computed
from miabench.jobs.observe import ANSWERS, check_answers
from miabench.jobs.observed import own_answers
from miabench.jobs.resources import Resources
from miabench.jobs.specs import DerivedSpec, Job
from miabench.store.store import Ref


def derive(job: Job, spec: DerivedSpec, resources: Resources) -> Iterator[NewArtifact]:
    """Compute a probe's answers."""
    labels = resources.pool(job.dataset, job.identity).y.numpy()[resources.store.ids(spec.part.ids)]
    probe = resources.probe(spec.probe)
    assert probe.of is not None
    stored = resources.store.arrays(Ref("observations", spec.of), rows=len(labels))
    derived = probe.derive(own_answers(probe.of, stored), labels)
    check_answers(probe, derived, np.ndarray, len(labels))
    yield computed(job.gives[0], spec, {ANSWERS: derived}, resources.device)
