"""The steps of an experiment: train, attack; each does what the store does not have yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from miabench.errors import MissingStepError
from miabench.jobs.executors.base import Event, Executor
from miabench.jobs.machine import devices_here
from miabench.jobs.plan import Plan
from miabench.jobs.scheduler import Outcome, run_jobs
from miabench.jobs.specs import Context, Job, Stage
from miabench.jobs.tidying import tidy
from miabench.jobs.weights import remove_weights

if TYPE_CHECKING:
    from miabench.jobs.executors.ray import Share


@dataclass(frozen=True)
class ExecutorConfig:
    """Who does the jobs.

    Attributes:
        executor: `local` (worker processes), `inline` (this process) or `ray` (worker processes on a cluster).
        workers: at once; None means one per core, or `jobs_per_gpu` on each accelerator.
        job_timeout: seconds after which a worker process is ended that is still at one job; None: never.
        ray_address: of the cluster; None: the one that this machine belongs to.
        jobs_per_gpu: how many share one.
    """

    executor: str = "local"
    workers: int | None = None
    job_timeout: float | None = None
    ray_address: str | None = None
    jobs_per_gpu: int = 1

    def devices(self) -> list[str]:
        """What networks may be on where the jobs run, the first by default.

        Raises:
            UserError: there is no such cluster.
        """
        if self.executor == "ray":
            from miabench.jobs.executors.ray import devices

            return devices(self.ray_address)
        return devices_here()

    def make(self, context: Context, on_event: Callable[[Event], None]) -> Executor:
        """The executor; `inline` calls `on_event` with epochs, being in a job all the time."""
        if self.executor == "inline":
            from miabench.jobs.executors.inline import Inline

            return Inline(context, on_event)
        if self.executor == "ray":
            from miabench.jobs.executors.ray import Ray

            return Ray(context, self.workers, self._share(context), self.job_timeout)
        from miabench.jobs.executors.local import Local

        slots = self.slots(context)
        return Local(context.model_copy(update={"workers": slots}), slots, self.job_timeout)

    def slots(self, context: Context) -> int:
        """How many jobs run at once, on a cluster as large as it is now.

        Raises:
            UserError: there is no such cluster.
        """
        if self.executor == "inline":
            return 1
        if self.workers is not None:
            return self.workers
        if self.executor == "ray":
            from miabench.jobs.executors.ray import joined, places

            return max(1, places(joined(self.ray_address).nodes(), self._share(context)))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cores if context.device == "cpu" else self.jobs_per_gpu

    def _share(self, context: Context) -> Share:
        """What a job holds of a cluster's machine."""
        from miabench.jobs.executors.ray import Share

        return Share(context.threads, 0.0 if context.device == "cpu" else 1 / self.jobs_per_gpu)


def run_stages(
    plan: Plan, stages: tuple[Stage, ...], executor: ExecutorConfig, on_event: Callable[[Event], None]
) -> Outcome:
    """Do the stages of a plan; what is stored is skipped, and a failure stops only what needs it.

    Raises:
        UserError: attacking networks that are not trained.
    """
    store = plan.store
    if "train" not in stages:
        _refuse_untrained(plan)
    plan.index.save(store)
    plan.listed.save(store, plan.index.experiment)
    jobs = plan.missing(*stages)
    outcome = run_jobs(
        jobs,
        lambda: executor.make(plan.context, on_event),
        store,
        on_event,
    )
    outcome.stored = len(plan.stage(*stages)) - len(jobs)
    with suppress(OSError):  # a full disk: the reasons are printed all the same
        for key, why in {**outcome.failed, **outcome.blocked}.items():
            if store.failure(key) is None:
                store.set_failure(key, why)
        remove_weights(plan)
        tidy(store, plan.jobs.keys() - plan.missing().keys())
    return outcome


def _refuse_untrained(plan: Plan) -> None:
    untried = [job for key, job in plan.missing("train").items() if plan.store.failure(key) is None]
    if untried:
        raise MissingStepError(
            f"{len(untried)} of the trainings that the attacks need are not in the store"
            f"{_without_weights(untried, plan)} (the first: {untried[0].label}); train them with",
            "train",
        )


def _without_weights(trainings: Sequence[Job], plan: Plan) -> str:
    """How many of some trainings were done before, and are to be done again as their weights were removed."""
    again = sum(plan.store.has_all(job.gives) for job in trainings)
    return f", {again} of them as their weights were removed" if again else ""
