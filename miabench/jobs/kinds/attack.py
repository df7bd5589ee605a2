"""Attacking a target: learnt on its shadows, scored without membership."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from miabench import seeds
from miabench.evaluation.references import count_references
from miabench.evaluation.scores import AttackScores, TargetValues
from miabench.evaluation.scoring import members_of, score_hidden, shadow_scores
from miabench.jobs.artifact import NewArtifact, computed
from miabench.jobs.observed import Gatherer
from miabench.jobs.resources import Resources
from miabench.jobs.specs import AttackSpec, Job


def attack_target(job: Job, spec: AttackSpec, resources: Resources) -> Iterator[NewArtifact]:
    """Fit an attack and score the target and its shadows."""
    attack = resources.plugins.get("attack", spec.attack.name).build(spec.attack.params)
    data = resources.pool(job.dataset, job.identity)
    gatherer = Gatherer(resources.store, data, attack, [resources.probe(probe) for probe in spec.probes])
    shadows = [gatherer.observed(view, spec.references(view)) for view in spec.shadows]
    target = gatherer.observed(spec.target, spec.references(spec.target))
    state = attack.fit(shadows, seeds.generator(spec.seed, "attack", resources.device))
    hidden = score_hidden(attack, target, state, spec.seed)
    references = count_references(attack, target, shadows)
    calibrated = shadows if references is None or references.calibrate else []
    scores = AttackScores(
        target=TargetValues(hidden, members_of(target), target.labels, gatherer.rows(spec.target)),
        shadows=shadow_scores(attack, calibrated, state),
        state={name: np.asarray(value) for name, value in state.items()},
        references=references,
    )
    yield computed(job.gives[0], spec, scores.save(), resources.device)
