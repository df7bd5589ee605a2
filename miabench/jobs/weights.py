"""Which networks keep their weights once all that is asked of them is stored: `keep_weights` of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from miabench.files.atomic import write_file
from miabench.files.lock import LockedError
from miabench.jobs.plan import Plan
from miabench.jobs.specs import Job
from miabench.results.holdings import Holdings
from miabench.results.index import Index, file_name
from miabench.results.inventory import readable
from miabench.store.folder import refuse_link
from miabench.store.store import REMOVED, WEIGHTS, Ref, Store


def keeps(index: Index, network: Ref) -> bool:
    """Whether an experiment keeps the weights of a network."""
    match index.experiment.keep_weights:
        case "all":
            return True
        case "targets":
            return any(entry.network == network for entry in index.entries)
        case _:
            return False


def remove_weights(plan: Plan) -> int:
    """Remove the weights that neither the plan's experiment keeps nor any other; how many networks lost theirs.

    What jobs of this or another unfinished experiment may still ask stays.
    """
    if plan.index.experiment.keep_weights == "all" or plan.missing():
        return 0
    trainings = {ref: job.key for job in plan.trainings for ref in job.gives}
    droppable = {ref for ref in trainings if not keeps(plan.index, ref) and plan.store.has_whole(ref)}
    if not droppable:
        return 0
    holdings = Holdings(plan.store)
    own = file_name(plan.index.experiment).removesuffix(".json")
    for name, other in holdings.holders.items():
        if name != own:
            droppable -= _claimed(holdings, name, other.index)
    return sum(_remove(plan.store, ref, trainings[ref]) for ref in droppable)


def retrained(plan: Plan) -> Sequence[Job]:
    """The trainings that are to be done again, as their weights were removed and something new is asked of them."""
    missing = plan.missing()
    return [job for job in plan.trainings if job.key in missing and plan.store.has_all(job.gives)]


def sizes(plan: Plan, of_network: Callable[[Job], int]) -> str:
    """How large the weights of all networks are, and of those that stay, in words.

    Args:
        plan: the experiment.
        of_network: bytes of one network that a training makes.
    """
    sizes = {ref: of_network(job) for job in plan.trainings for ref in job.gives}
    kept = sum(size for ref, size in sizes.items() if keeps(plan.index, ref))
    policy = plan.index.experiment.keep_weights
    return (
        f"weights of {len(sizes):,} networks: {readable(sum(sizes.values()))}; "
        f"keep_weights = {policy} keeps {readable(kept)}"
    )


def _claimed(holdings: Holdings, name: str, index: Index | None) -> set[Ref]:
    """The networks whose weights another experiment keeps, or may still ask: all where that cannot be told."""
    needed = holdings.of((name,))
    if index is None or needed.problems:
        return set(holdings.artifacts)
    finished = holdings.is_finished(name)
    return {ref for ref in needed.refs if ref.kind == "networks" and (not finished or keeps(index, ref))}


def _remove(store: Store, ref: Ref, job: str) -> bool:
    """Remove the weights of a network, under its training's lock; all else that is known of it stays."""
    try:
        with store.lock(job, wait=False):
            refuse_link(store.room(ref.kind) / ref.key)
            write_file(store.path(ref) / REMOVED, b"")
            (store.path(ref) / WEIGHTS).unlink(missing_ok=True)
    except LockedError:
        return False
    return not (store.path(ref) / WEIGHTS).exists()
