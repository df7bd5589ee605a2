"""Attacking a target: learnt on its shadows, scored without membership."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from miabench import seeds
from miabench.evaluation.scores import AttackScores, ShadowScores, TargetValues
from miabench.evaluation.scoring import checked_scores, score_hidden
from miabench.jobs.artifact import NewArtifact, computed
from miabench.jobs.observed import Gatherer
from miabench.jobs.resources import Resources
from miabench.jobs.specs import AttackSpec, Job
from miabench.plugins.attack import Observed


def attack_target(job: Job, spec: AttackSpec, resources: Resources) -> Iterator[NewArtifact]:
    """Fit an attack and score the target and its shadows."""
    attack = resources.plugins.get("attack", spec.attack.name).build(spec.attack.params)
    data = resources.pool(job.dataset, job.identity)
    gatherer = Gatherer(resources.store, data, attack, [resources.probe(probe) for probe in spec.probes])
    shadows = [gatherer.observed(view, spec.references(view)) for view in spec.shadows]
    target = gatherer.observed(spec.target, spec.references(spec.target))
    state = attack.fit(shadows, seeds.generator(spec.seed, "attack", resources.device))
    hidden = score_hidden(attack, target, state, spec.seed)
    of_shadows = [checked_scores(attack.score(shadow, state), len(shadow)) for shadow in shadows]
    scores = AttackScores(
        target=TargetValues(hidden, _members(target), target.labels, gatherer.rows(spec.target)),
        shadows=ShadowScores.of_all(
            [
                ShadowScores(values, _members(shadow), shadow.labels)
                for values, shadow in zip(of_shadows, shadows, strict=True)
            ]
        ),
        state={name: np.asarray(value) for name, value in state.items()},
    )
    yield computed(job.gives[0], spec, scores.save(), resources.device)


def _members(observed: Observed) -> NDArray[np.bool_]:
    return cast("NDArray[np.bool_]", observed.member)
