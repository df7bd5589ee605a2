"""Jobs on the machines of a Ray cluster (extra `ray`), on one store that all of them see.

Each job has a seat: an actor, which Ray puts where cores and a share of a GPU are free, and which holds one worker
process at a time, as `local` has them; so results are the same bytes on machines of one kind. The source of plugin
files travels with a job.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from miabench._version import __version__
from miabench.errors import UserError
from miabench.files.atomic import temporary_folder
from miabench.jobs.executors.base import Event
from miabench.jobs.executors.seat import Seat
from miabench.jobs.executors.time_limit import TimeLimit
from miabench.jobs.specs import Context, Job
from miabench.jobs.stopping import GRACE, stop
from miabench.plugins.discover import PluginFile

LOOK = 2.0  # seconds between two looks at how large the cluster is
LOSSES = 5  # how often a job may lose its machine


class Share(NamedTuple):
    """What a job holds of a machine: cores, and a part of a GPU."""

    cores: float
    gpus: float


class Held:
    """A seat, as the planner sees it.

    Attributes:
        actor: Ray's handle.
        plugins: the files that its worker process has imported.
        job: what it does, or None.
        placed: whether it has a place on a machine; before that it waits for one.
        begun: when it began with that, once its imports were over; monotonic seconds.
        messages: of that job; Ray's references to them, as they come.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.plugins: frozenset[PluginFile] = frozenset()
        self.job: Job | None = None
        self.placed = False
        self.begun: float | None = None
        self.messages: Any = None

    def give(self, job: Job) -> None:
        """Send a job."""
        self.job, self.begun, self.plugins = job, None, frozenset(job.plugins)
        do = self.actor.do.options(num_returns="streaming")
        self.messages = do.remote(job.model_dump_json(), sources(job.plugins), __version__)


class Ray:
    """Seats on a cluster, taken when there is work for them.

    Args:
        context: where jobs find things, on every machine.
        workers: at most so many at once; None: as many as the cluster has room for at the moment.
        share: what each holds of its machine.
        job_timeout: seconds after which a job is ended; None: never.
    """

    def __init__(self, context: Context, workers: int | None, share: Share, job_timeout: float | None = None) -> None:
        import ray

        self._ray: Any = ray
        self._context = context
        self._most = workers
        self._share = share
        self._limit = TimeLimit(job_timeout)
        self._seats: list[Held] = []
        self._lost: Counter[str] = Counter()  # by key, machines that were lost at a job
        self._room, self._looked = 1, float("-inf")
        self._open = ExitStack()
        self._mark = self._open.enter_context(temporary_folder(Path(context.store)))

    @property
    def slots(self) -> int:
        """How many seats the cluster has now; at least one, so that a cluster that grows on demand has a demand."""
        if self._most is None and time.monotonic() - self._looked > LOOK:
            self._room, self._looked = max(1, places(self._ray.nodes(), self._share)), time.monotonic()
        return self._most or self._room

    def fits(self, job: Job) -> bool:
        """Yes: Ray begins it where there is room."""
        return True

    def waiting(self) -> Collection[frozenset[PluginFile]]:
        """The plugin files of idle seats."""
        return {seat.plugins for seat in self._seats if seat.job is None}

    def start(self, job: Job) -> None:
        """Give a job to an idle seat that has its plugin files, to a new seat, or to any."""
        idle = sorted((seat for seat in self._seats if not seat.job), key=lambda seat: seat.plugins != set(job.plugins))
        if len(self._seats) < self.slots and not (idle and idle[0].plugins == set(job.plugins)):
            idle = [Held(self._actor())]
            self._seats += idle
        idle[0].give(job)

    def _actor(self) -> Any:
        made = self._ray.remote(Seat).options(
            num_cpus=self._share.cores,
            num_gpus=self._share.gpus,
            max_concurrency=2,  # it can be asked to stop while it is at a job
        )
        return made.remote(self._context.model_dump_json(), str(Path.cwd()), str(self._mark))

    # --- news ---

    def wait(self, seconds: float | None = None) -> list[Event]:
        """Block for the next message of any seat, until a job has taken too long, or the cluster may have changed."""
        if late := list(self._late()):
            return late
        busy = {seat.messages: seat for seat in self._seats if seat.job}
        limit = min(limit for limit in (seconds, self._limit.left(self._seats), LOOK) if limit is not None)
        ready, _ = self._ray.wait(list(busy), timeout=limit)
        if not ready:
            self._make_room()
        return [event for messages in ready for event in self._heard(busy[messages])]

    def _make_room(self) -> None:
        """Idle seats leave if others wait for a place: since a machine was lost there may be none but theirs."""
        if not all(seat.placed for seat in self._seats):
            for seat in [seat for seat in self._seats if seat.job is None]:
                self._end(seat)

    def _heard(self, seat: Held) -> list[Event]:
        job = seat.job
        assert job is not None
        try:
            message = self._ray.get(next(seat.messages))
        except self._ray.exceptions.RayActorError as error:
            self._seats.remove(seat)
            self._ray.kill(seat.actor)  # it may only be out of reach
            return [self._loss(job, error)]
        match message["kind"]:
            case "placed":
                seat.placed = True
                return []
            case "begun":
                seat.begun = time.monotonic()
                return []
            case "unfit":
                raise UserError(message["why"])
        if message["kind"] != "progress":
            seat.job = None
        return [Event(job=job, **message)]

    def _loss(self, job: Job, error: Exception) -> Event:
        """What becomes of a job whose machine, or whose seat on it, is no more."""
        self._lost[job.key] += 1
        if self._lost[job.key] < LOSSES:
            return Event("retried", job, why="its machine was lost")
        reason = str(error).strip().splitlines()[-1]
        return Event("failed", job, why=f"its machine was lost {LOSSES} times; the last time Ray said: {reason}")

    def _late(self) -> Iterator[Event]:
        for seat in self._limit.late(self._seats):
            assert seat.job is not None
            self._end(seat)
            yield Event("failed", seat.job, why=self._limit.why)

    # --- the end ---

    def interrupted(self, number: int) -> None:
        """End the run; `close` lets trainings save their state."""
        stop(number)

    def _end(self, seat: Held) -> None:
        self._seats.remove(seat)
        with suppress(self._ray.exceptions.RayError):
            self._ray.get(seat.actor.leave.remote(), timeout=GRACE if seat.placed else 0)
        self._ray.kill(seat.actor)

    def close(self) -> None:
        """End all seats: trainings after their epoch, if that ends soon, the others at once."""
        training = [seat for seat in self._seats if seat.job and seat.job.kind == "train" and seat.begun is not None]
        deadline = time.monotonic() + GRACE
        try:
            for seat in training:
                seat.actor.stop.remote()
            while training and time.monotonic() < deadline:
                training = [seat for seat in training if self._still_at_it(seat)]
        finally:
            for seat in list(self._seats):
                self._end(seat)
            self._open.close()

    def _still_at_it(self, seat: Held) -> bool:
        """Hear one more message of a training that is to end."""
        ready, _ = self._ray.wait([seat.messages], timeout=0.1)
        return not ready or all(event.kind == "progress" for event in self._heard(seat))


def sources(files: Collection[PluginFile]) -> dict[str, bytes]:
    """What is in some plugin files, by hash; who reads it there compares."""
    return {file.sha256: Path(file.path).read_bytes() for file in files}


def places(nodes: Collection[dict[str, Any]], share: Share) -> int:
    """How many jobs fit on the machines of a cluster that are alive."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return sum(
        int(min(has.get("CPU", 0) / share.cores, has.get("GPU", 0) / share.gpus if share.gpus else float("inf")))
        for has in alive
    )


def devices(address: str | None) -> list[str]:
    """What an experiment may be computed on, the first by default: what the cluster has now, or may grow to have."""
    return ["cuda", "cpu"] if "GPU" in joined(address).cluster_resources() else ["cpu", "cuda"]


def joined(address: str | None) -> Any:
    """The module `ray`, once this process belongs to a cluster: it stays with the one that it has joined.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError:
        raise UserError("--executor ray needs Ray; install it with: pip install 'miabench[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            where = address or "this machine"
            raise UserError(f"no Ray cluster at {where} ({reason}); start one with: ray start --head") from None
    return ray
