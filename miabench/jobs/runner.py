"""Doing a job: under its lock, apart from other jobs, from its description to stored artifacts."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from miabench.errors import TrainingError, UserError, text_of
from miabench.files.atomic import write_file
from miabench.files.lock import LockedError
from miabench.jobs.arithmetic import arithmetic
from miabench.jobs.artifact import NewArtifact
from miabench.jobs.kinds.attack import attack_target
from miabench.jobs.kinds.derivation import derive
from miabench.jobs.kinds.measure import measure
from miabench.jobs.kinds.observation import observe_network
from miabench.jobs.kinds.training import train
from miabench.jobs.log import Log, cut
from miabench.jobs.notes import NotedJob
from miabench.jobs.resources import Resources
from miabench.jobs.specs import AttackSpec, Context, DerivedSpec, Job, MeasureSpec, ObservationSpec, TrainingSpec
from miabench.jobs.todo import is_stored
from miabench.plugins.process_state import isolated

Done: TypeAlias = Literal["done", "stored", "locked"]
Progress = Callable[[dict[str, float]], None]


class JobRunner:
    """Does jobs one after another, with what they share."""

    def __init__(self, context: Context) -> None:
        self.resources = Resources(context)
        self.store = self.resources.store

    def run(self, job: Job, progress: Progress) -> Done:
        """Do a job, unless what it gives is stored already.

        Returns:
            `done`; `stored` where another process had done it; `locked` where another process is at it.

        Raises:
            TrainingError, UserError: what went wrong, for the user.
            Exception: whatever a plugin raises.
        """
        try:
            with self.store.lock(job.key, wait=False), NotedJob(self.store, job.key) as note:

                def heard(record: dict[str, float]) -> None:
                    note.epoch(record)
                    progress(record)

                return self._run(job, heard)
        except LockedError:
            return "locked"

    def _run(self, job: Job, progress: Progress) -> Done:
        if is_stored(job, self.store):
            return "stored"
        log = Log()
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                self._do(job, progress, log)
        except (Exception, SystemExit) as error:  # a plugin may call sys.exit
            self._remember_failure(job, error, log.kept())
            raise
        self.store.set_failure(job.key, None)
        return "done"

    def _do(self, job: Job, progress: Progress, log: Log) -> None:
        with contextlib.ExitStack() as stack:
            if not isinstance(job.spec, MeasureSpec):
                stack.enter_context(arithmetic(job.spec.compute))
                stack.enter_context(self.resources.current_device())
            unchanged = stack.enter_context(isolated(code_of(job), getattr(job.spec, "seed", 0)))
            for made in self._artifacts(job, progress, log):
                unchanged()  # a job that has changed what jobs share has results that are not to be trusted
                with self.store.write(made.ref, made.about) as folder:
                    for name, content in made.files.items():
                        write_file(folder / name, content)

    def _artifacts(self, job: Job, progress: Progress, log: Log) -> Iterator[NewArtifact]:
        match job.spec:
            case TrainingSpec() as spec:
                return train(job, spec, self.resources, progress, log.kept)
            case ObservationSpec() as spec:
                return observe_network(job, spec, self.resources)
            case DerivedSpec() as spec:
                return derive(job, spec, self.resources)
            case AttackSpec() as spec:
                return attack_target(job, spec, self.resources)
            case MeasureSpec() as spec:
                return measure(job, spec, self.resources)

    def _remember_failure(self, job: Job, error: BaseException, log: str) -> None:
        known = isinstance(error, (TrainingError, UserError))
        detail = text_of(error) if known else cut(traceback.format_exc())  # which may quote a text of any length
        with contextlib.suppress(OSError):  # a full disk must not hide the first error
            self.store.set_failure(job.key, f"{log}{detail}".strip())


def code_of(job: Job) -> str:
    """Whose code a job runs, for an error."""
    names = [Path(file.path).name for file in job.plugins]
    return f"the code of {' or '.join(names)}" if names else "the job"
