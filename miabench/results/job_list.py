"""Which jobs an experiment has, kept when it is run: enough for `miabench status` without data, plugins or planning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from miabench.experiment.model import Experiment
from miabench.files.atomic import replace_file, write_file
from miabench.files.json import read_json
from miabench.results.index import file_name
from miabench.store.store import Ref, Store


class ListedJob(BaseModel, frozen=True):
    """One job.

    Attributes:
        kind: train, observe, attack or measure.
        key: locks and failures are filed under it.
        label: what is done, in words.
        gives: artifacts that are stored after.
        weight: expected work, for the estimate of the time left.
        epochs: of a training; 0 for other jobs.
    """

    kind: str
    key: str
    label: str
    gives: tuple[Ref, ...]
    weight: float = 1.0
    epochs: int = 0


LIST = TypeAdapter(tuple[ListedJob, ...])


def save_jobs(store: Store, experiment: Experiment, jobs: Sequence[ListedJob]) -> None:
    """Keep the jobs of an experiment."""
    with replace_file(_path(store, experiment)) as path:
        write_file(path, LIST.dump_json(tuple(jobs)))


def load_jobs(store: Store, experiment: Experiment) -> Sequence[ListedJob] | None:
    """The jobs of an experiment that was run here before; None where none was, or an earlier version ran it."""
    path = _path(store, experiment)
    return read_json(path, LIST, "make it anew with: miabench run") if path.exists() else None


def begun(store: Store, experiment: Experiment) -> float:
    """When the experiment was run last: its jobs are listed at the beginning. Seconds since 1970."""
    return _path(store, experiment).stat().st_mtime


def _path(store: Store, experiment: Experiment) -> Path:
    return store.folder / "plans" / file_name(experiment)
