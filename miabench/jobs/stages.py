"""The steps of an experiment: train, attack; each does what the store does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from miabench.errors import UserError
from miabench.jobs.executors.base import Event
from miabench.jobs.plan import Plan
from miabench.jobs.scheduler import KINDS, Outcome, Stage, make_executor, run_jobs
from miabench.jobs.specs import Job
from miabench.store.store import Store


@dataclass(frozen=True)
class ExecutorConfig:
    """Who does the jobs.

    Attributes:
        executor: `local` (worker processes) or `inline` (this process).
        workers: at once; None means one per core, or one on an accelerator.
    """

    executor: str = "local"
    workers: int | None = None


def jobs_of(plan: Plan, stages: Iterable[Stage]) -> dict[str, Job]:
    """The plan's jobs that belong to some stages, by key."""
    kinds = {kind for stage in stages for kind in KINDS[stage]}
    return {key: job for key, job in plan.jobs.items() if job.kind in kinds}


def run_stages(
    plan: Plan, stages: tuple[Stage, ...], hands: ExecutorConfig, on_event: Callable[[Event], None]
) -> Outcome:
    """Do the stages of a plan; what is stored is skipped, and a failure stops only what needs it.

    Raises:
        UserError: attacking networks that are not trained.
    """
    store = Store(plan.context.store)
    if "train" not in stages:
        _refuse_untrained(plan, store)
    plan.index.save(store)
    outcome = run_jobs(
        jobs_of(plan, stages),
        lambda: make_executor(hands.executor, hands.workers, plan.context, on_event),
        store,
        on_event,
    )
    with suppress(OSError):  # a full disk: the reasons are printed all the same
        for key, why in {**outcome.failed, **outcome.blocked}.items():
            if store.failure(key) is None:
                store.set_failure(key, why)
    return outcome


def _refuse_untrained(plan: Plan, store: Store) -> None:
    needed = {ref: job for job in jobs_of(plan, ["train"]).values() for ref in job.gives}
    missing = {job.key: job for ref, job in needed.items() if not store.has(ref)}
    untried = [job for key, job in missing.items() if store.failure(key) is None]
    if untried:
        raise UserError(
            f"{len(untried)} of the trainings that the attacks need are not in the store "
            f"(the first: {untried[0].label}); train them with: miabench train"
        )
