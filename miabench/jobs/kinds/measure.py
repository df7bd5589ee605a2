"""Measuring: from an attack's scores to its metrics, or from the target's logits to accuracies."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from miabench.data.pool import Data
from miabench.evaluation.measure import measure_accuracy, measure_attack, measure_classes
from miabench.evaluation.scores import AttackScores, TargetValues
from miabench.files.npz import npz_bytes
from miabench.jobs.artifact import NewArtifact
from miabench.jobs.resources import Resources
from miabench.jobs.specs import Job, MeasureSpec
from miabench.store.store import Ref, Store


def measure(job: Job, spec: MeasureSpec, resources: Resources) -> Iterator[NewArtifact]:
    """Compute all rows of one attack on one target, or of the target's accuracies."""
    data = resources.pool(job.dataset, job.identity)
    files = {}
    if spec.scores is not None:
        scores = AttackScores.load(resources.store, Ref("scores", spec.scores))
        rows = measure_attack(scores)
        files["classes.json"] = json.dumps(measure_classes(scores, data.num_classes), allow_nan=False).encode()
    else:
        correct = _correctness(spec, data, resources.store)
        rows = measure_accuracy(correct.values == 1, correct.members)
        files["arrays.npz"] = npz_bytes(correct.save())
    files["rows.json"] = json.dumps(rows, allow_nan=False).encode()
    yield NewArtifact(job.gives[0], {"spec": spec.model_dump(mode="json")}, files)


def _correctness(spec: MeasureSpec, data: Data, store: Store) -> TargetValues:
    """Whether each member and non-member is classified correctly."""
    assert spec.logits is not None
    members, others = store.ids(spec.members), store.ids(spec.non_members)
    rows = np.concatenate([members, others])
    labels = data.y.numpy()[rows]
    logits = store.arrays(Ref("observations", spec.logits), rows=len(data), mapped=True)["answers"][rows]
    correct = (logits.argmax(1) == labels).astype(np.float64)
    return TargetValues(correct, np.arange(len(rows)) < len(members), labels, rows)
