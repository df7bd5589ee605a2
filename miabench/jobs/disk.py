"""The disk that jobs will take: counted from what untrained networks answer about two records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

import torch

from miabench.jobs.arithmetic import DTYPES
from miabench.jobs.observe import ANSWERS, Questions, observe
from miabench.jobs.observed import Arrays, own_answers
from miabench.jobs.resources import Resources
from miabench.jobs.specs import AttackSpec, DerivedSpec, Job, MeasureSpec, ObservationSpec, TrainingSpec
from miabench.training.serving import Served

SCORED = 8 + 8 + 8 + 1  # bytes of a target's record: score, row, label, membership
SHADOW_SCORED = 8 + 8 + 1

Makers: TypeAlias = Mapping[str, Job]  # by artifact, the job that makes it


def spec_of(training: Job) -> TrainingSpec:
    """The description of a job that is a training."""
    return cast(TrainingSpec, training.spec)


def kind_of(job: Job) -> tuple[str, ...]:
    """What trainings share that take the same time for each member and epoch."""
    spec = spec_of(job)
    return job.identity, spec.model.key, spec.compute.key, str(spec.schedule.batch_size), label_of(job), *spec.parts


def label_of(job: Job) -> str:
    """What trainings of a kind are called."""
    spec = spec_of(job)
    sources = [*spec.given, *(f"answers of {name}" for name in spec.answers)]
    start = f" from {' and '.join(sources)}" if sources else ""
    kept_from_it = ", some records withheld" if spec.answers and len(spec.parts) > 1 else ""
    return f"{job.dataset.name} {spec.model.name} {spec.defense.name}{start}{kept_from_it}"


class Disk:
    """Adds up the arrays that jobs will store; manifests and histories are small beside them."""

    def __init__(self, resources: Resources, makers: Makers) -> None:
        self.resources = resources
        self.makers = makers
        self._known: dict[tuple[str, ...], int] = {}

    def of(self, jobs: Iterable[Job]) -> int:
        """Bytes."""
        return sum(self._of(job) for job in jobs)

    def _of(self, job: Job) -> int:
        match job.spec:
            case TrainingSpec():
                return self.weights(job) * sum(not self.resources.store.has_whole(ref) for ref in job.gives)
            case ObservationSpec() | DerivedSpec() as spec:
                return self._answer(job, spec) * len(self.resources.rows(spec.part.ids))
            case AttackSpec() as spec:
                shadows = sum(self._records(view.members, view.non_members) for view in spec.shadows)
                return SCORED * self._records(spec.target.members, spec.target.non_members) + SHADOW_SCORED * shadows
            case MeasureSpec() as spec:
                return 0 if spec.logits is None else SCORED * self._records(spec.members, spec.non_members)

    def _records(self, *lists: str) -> int:
        return sum(len(self.resources.rows(ids)) for ids in lists)

    def weights(self, job: Job) -> int:
        """Bytes of one network."""
        kind = kind_of(job)
        if kind not in self._known:
            state = self.resources.untrained(spec_of(job), self.resources.pool(job.dataset, job.identity)).state_dict()
            self._known[kind] = sum(value.numel() * value.element_size() for value in state.values())
        return self._known[kind]

    def _answer(self, job: Job, spec: ObservationSpec | DerivedSpec) -> int:
        """Bytes of what is stored for one record."""
        kind = self._asked(spec)
        if kind not in self._known:
            arrays = self._sample(job, spec)
            self._known[kind] = sum(array[0].nbytes for array in arrays.values())
        return self._known[kind]

    def _asked(self, spec: ObservationSpec | DerivedSpec) -> tuple[str, ...]:
        """What tells the sizes of answers apart: the kind of network and the probes."""
        if isinstance(spec, ObservationSpec):
            return (*kind_of(self.makers[spec.network]), spec.probe.key)
        return (*self._asked(self._parent(spec)), spec.probe.key)

    def _parent(self, spec: DerivedSpec) -> ObservationSpec | DerivedSpec:
        return cast(ObservationSpec | DerivedSpec, self.makers[spec.of].spec)

    def _sample(self, job: Job, spec: ObservationSpec | DerivedSpec) -> Arrays:
        """What an untrained network answers about two records."""
        pool, probe = self.resources.pool(job.dataset, job.identity), self.resources.probe(spec.probe)
        two = torch.arange(2)
        if isinstance(spec, DerivedSpec):
            assert probe.of is not None
            known = own_answers(probe.of, self._sample(job, self._parent(spec)))
            return {ANSWERS: probe.derive(known, pool.y.numpy()[:2])}
        training = spec_of(self.makers[spec.network])
        defense = self.resources.trained_by(training, pool).defense
        x = pool.inputs(two, self.resources.device, DTYPES[spec.compute.precision])
        served = Served(self.resources.untrained(training, pool), defense.server(), seed=0).eval()
        questions = Questions(x, pool.y[two].to(x.device), two, two)
        return observe(lambda: self.resources.probe(spec.probe), served, questions, seed=0)
